// SPDX-License-Identifier: GPL-2.0
/*
 * The sockets that RoCE packets arrive on: one per address family in every
 * network namespace that has a device.
 */
#include <linux/err.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <net/net_namespace.h>

#include "rxe.h"
#include "rxe_sealift_netns.h"

/*
 * Kernel sockets hold no reference to their namespace, and a device may be
 * freed after its namespace has gone: hence an object of its own, counted by
 * the devices, that lets go of the sockets when the first of the two ends.
 */
struct rxe_netns {
	struct list_head	list;
	struct net		*net;
	unsigned int		devices;
	struct socket		*sk4;
	struct socket		*sk6;
};

static DEFINE_MUTEX(rxe_netns_lock);
static LIST_HEAD(rxe_netns_list);

static struct rxe_netns *rxe_netns_find(struct net *net)
{
	struct rxe_netns *ns;

	list_for_each_entry(ns, &rxe_netns_list, list)
		if (net_eq(ns->net, net))
			return ns;

	return NULL;
}

static int rxe_netns_open(struct rxe_netns *ns)
{
	struct socket *sk;

	sk = rxe_setup_udp_tunnel(ns->net, htons(ROCE_V2_UDP_DPORT), false);
	if (IS_ERR(sk)) {
		pr_err("Failed to create IPv4 UDP tunnel\n");
		return PTR_ERR(sk);
	}
	ns->sk4 = sk;

	if (!IS_ENABLED(CONFIG_IPV6))
		return 0;

	sk = rxe_setup_udp_tunnel(ns->net, htons(ROCE_V2_UDP_DPORT), true);
	if (PTR_ERR(sk) == -EAFNOSUPPORT) {
		pr_warn("IPv6 is not supported, can not create a UDPv6 socket\n");
		return 0;
	}
	if (IS_ERR(sk)) {
		pr_err("Failed to create IPv6 UDP tunnel\n");
		return PTR_ERR(sk);
	}
	ns->sk6 = sk;

	return 0;
}

static void rxe_netns_close(struct rxe_netns *ns)
{
	rxe_release_udp_tunnel(ns->sk6);
	rxe_release_udp_tunnel(ns->sk4);
	ns->sk6 = NULL;
	ns->sk4 = NULL;
}

struct rxe_netns *rxe_netns_get(struct net *net)
{
	struct rxe_netns *ns;
	int err;

	mutex_lock(&rxe_netns_lock);

	ns = rxe_netns_find(net);
	if (ns)
		goto out;

	ns = kzalloc(sizeof(*ns), GFP_KERNEL);
	if (!ns) {
		ns = ERR_PTR(-ENOMEM);
		goto err;
	}

	ns->net = net;
	err = rxe_netns_open(ns);
	if (err) {
		rxe_netns_close(ns);
		kfree(ns);
		ns = ERR_PTR(err);
		goto err;
	}

	list_add(&ns->list, &rxe_netns_list);
out:
	ns->devices++;
err:
	mutex_unlock(&rxe_netns_lock);
	return ns;
}

void rxe_netns_put(struct rxe_netns *ns)
{
	if (IS_ERR_OR_NULL(ns))
		return;

	mutex_lock(&rxe_netns_lock);
	if (!--ns->devices) {
		rxe_netns_close(ns);
		list_del_init(&ns->list);
		kfree(ns);
	}
	mutex_unlock(&rxe_netns_lock);
}

struct net *rxe_netns_net(struct rxe_netns *ns)
{
	return ns->net;
}

/* runs after the namespace's netdevs are gone, so nothing is sent any more */
static void __net_exit rxe_netns_net_exit(struct net *net)
{
	struct rxe_netns *ns;

	mutex_lock(&rxe_netns_lock);
	ns = rxe_netns_find(net);
	if (ns) {
		rxe_netns_close(ns);
		list_del_init(&ns->list);
	}
	mutex_unlock(&rxe_netns_lock);
}

static struct pernet_operations rxe_netns_ops = {
	.exit = rxe_netns_net_exit,
};

int rxe_netns_init(void)
{
	return register_pernet_subsys(&rxe_netns_ops);
}

void rxe_netns_exit(void)
{
	unregister_pernet_subsys(&rxe_netns_ops);
}
