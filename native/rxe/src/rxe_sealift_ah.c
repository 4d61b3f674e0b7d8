// SPDX-License-Identifier: GPL-2.0
/*
 * Dump address handles and give a new one the path of a dumped one. A path is
 * restored as it was resolved: that asks no one on the network.
 */
#include "rxe_sealift.h"
#include "rxe_sealift_invariants.h"

void rxe_dump_av(const struct rxe_av *av, const struct ib_gid_attr *sgid_attr,
		 struct sealift_rxe_av *out)
{
	if (!sgid_attr)
		return;

	out->present = 1;
	memcpy(out->dgid, av->grh.dgid.raw, sizeof(out->dgid));
	memcpy(out->sgid, sgid_attr->gid.raw, sizeof(out->sgid));
	memcpy(out->dmac, av->dmac, sizeof(out->dmac));
	/* the verbs core lets through more than a packet has room for */
	out->flow_label = av->grh.flow_label & 0xfffff;
	out->sgid_index = av->grh.sgid_index;
	out->hop_limit = av->grh.hop_limit;
	out->traffic_class = av->grh.traffic_class;
	out->network_type = av->network_type;
}

/*
 * Is the path's source address no longer in the GID table, at the path's index?
 * An entry that left stays invalid while a path has it, even if the address
 * comes back: that gets another index. Reads the path alone, which a
 * modify_qp() may be writing to; does not sleep.
 */
static bool rxe_av_has_lost_source(struct rxe_dev *rxe, const struct rxe_av *av)
{
	struct rxe_av now = {};
	union ib_gid gid;

	if (!av->network_type)
		return false;

	if (rdma_query_gid(&rxe->ib_dev, RXE_PORT, av->grh.sgid_index, &gid))
		return true;

	rdma_gid2ip((struct sockaddr *)&now.sgid_addr, &gid);
	return memcmp(&now.sgid_addr, &av->sgid_addr, sizeof(now.sgid_addr));
}

void rxe_list_source(struct rxe_dev *rxe, const struct rxe_av *av,
		     const struct ib_gid_attr *sgid_attr,
		     struct sealift_rxe_device_object *obj)
{
	if (rxe_av_has_lost_source(rxe, av))
		obj->flags |= SEALIFT_RXE_OBJECT_NO_SOURCE;
	if (!sgid_attr)
		return;

	obj->flags |= SEALIFT_RXE_OBJECT_HAS_SOURCE;
	obj->sgid_index = av->grh.sgid_index;
}

static int rxe_find_sgid(struct rxe_dev *rxe, const struct sealift_rxe_av *av)
{
	const struct ib_gid_attr *attr;
	struct net_device *ndev;
	union ib_gid gid;
	int index;

	memcpy(gid.raw, av->sgid, sizeof(gid.raw));

	ndev = rxe_ib_device_get_netdev(&rxe->ib_dev);
	if (!ndev)
		return -ENODEV;

	attr = rdma_find_gid_by_port(&rxe->ib_dev, &gid,
				     IB_GID_TYPE_ROCE_UDP_ENCAP, RXE_PORT,
				     ndev);
	dev_put(ndev);
	if (IS_ERR(attr))
		return -EADDRNOTAVAIL;

	index = attr->index;
	rdma_put_gid_attr(attr);
	return index;
}

int rxe_restore_av(struct rxe_dev *rxe, const struct sealift_rxe_av *av,
		   struct rdma_ah_attr *attr)
{
	struct ib_global_route *grh = &attr->grh;
	int index = rxe_find_sgid(rxe, av);

	if (index < 0)
		return index;

	attr->type = RDMA_AH_ATTR_TYPE_ROCE;
	attr->port_num = RXE_PORT;
	attr->ah_flags = IB_AH_GRH;
	memcpy(grh->dgid.raw, av->dgid, sizeof(grh->dgid.raw));
	grh->flow_label = av->flow_label;
	grh->sgid_index = index;
	grh->hop_limit = av->hop_limit;
	grh->traffic_class = av->traffic_class;
	memcpy(attr->roce.dmac, av->dmac, ETH_ALEN);

	return 0;
}

void rxe_dump_ah(const struct rxe_ah *ah, struct sealift_rxe_ah *out)
{
	out->user_handle = ah->ibah.uobject->user_handle;
	out->pd_handle = ah->ibah.pd->uobject->id;
	out->number = ah->ah_num;
	rxe_dump_av(&ah->av, ah->ibah.sgid_attr, &out->av);
}

/* No requester uses it meanwhile: the device is held. */
int rxe_restore_ah(struct rxe_ah *ah, const struct sealift_rxe_ah *in)
{
	struct rdma_ah_attr attr = {};
	int err;

	if (rxe_image_ah_broken_limit(in) || rxe_image_ah_broken_rule(in) ||
	    in->number != ah->ah_num || rxe_check_av(&in->av, true))
		return -EINVAL;

	err = rxe_restore_av(to_rdev(ah->ibah.device), &in->av, &attr);
	if (err)
		return err;

	return rdma_modify_ah(&ah->ibah, &attr);
}
