/* SPDX-License-Identifier: GPL-2.0 */
/* The sockets that RoCE packets arrive on, per network namespace. */
#ifndef RXE_SEALIFT_NETNS_H
#define RXE_SEALIFT_NETNS_H

struct net;
struct rxe_netns;

/* sleeps; ERR_PTR on error */
struct rxe_netns *rxe_netns_get(struct net *net);

/* sleeps; accepts NULL and ERR_PTR */
void rxe_netns_put(struct rxe_netns *ns);

/* valid as long as the netdev below the device that holds @ns is registered */
struct net *rxe_netns_net(struct rxe_netns *ns);

int rxe_netns_init(void);
void rxe_netns_exit(void);

#endif /* RXE_SEALIFT_NETNS_H */
