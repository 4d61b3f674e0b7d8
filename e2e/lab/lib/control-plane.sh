# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# etcd, API server, controller manager and scheduler: processes of this machine in the lab's network namespace.

CONTROL_PLANE_PARTS="etcd kube-apiserver kube-controller-manager kube-scheduler"

lab_kubectl() { "$LAB/bin/kubectl" --kubeconfig "$LAB/kubeconfig" "$@"; }

# control_plane_start PART: start one of the parts, for the first time or again, with the data that is there.
control_plane_start() {
	local part=$1
	local -a args
	# shellcheck disable=SC2054
	case $part in
	# No fsync: the data is a copy that ends with the lab.
	etcd) args=(--data-dir "$LAB_RUN/etcd" --unsafe-no-fsync --log-level warn) ;;
	# There is no kube-proxy: it calls a webhook's pods, not its Service's address.
	kube-apiserver) args=(
		--enable-aggregator-routing
		--etcd-servers http://127.0.0.1:2379
		--advertise-address "$LAB_API" --secure-port "$LAB_API_PORT" --service-cluster-ip-range "$LAB_SERVICE_CIDR"
		--tls-cert-file "$LAB_PKI/apiserver.crt" --tls-private-key-file "$LAB_PKI/apiserver.key"
		--client-ca-file "$LAB_PKI/ca.crt"
		--kubelet-client-certificate "$LAB_PKI/kubelet-client.crt" --kubelet-client-key "$LAB_PKI/kubelet-client.key"
		--kubelet-certificate-authority "$LAB_PKI/ca.crt" --kubelet-preferred-address-types InternalIP
		--service-account-key-file "$LAB_PKI/service-account.pub"
		--service-account-signing-key-file "$LAB_PKI/service-account.key"
		--service-account-issuer https://kubernetes.default.svc
		--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged
	) ;;
	kube-controller-manager) args=(
		--kubeconfig "$LAB_PKI/controller-manager.kubeconfig" --leader-elect=false --bind-address 127.0.0.1
		--root-ca-file "$LAB_PKI/ca.crt" --service-account-private-key-file "$LAB_PKI/service-account.key"
		--cluster-signing-cert-file "$LAB_PKI/ca.crt" --cluster-signing-key-file "$LAB_PKI/ca.key"
		--use-service-account-credentials --node-monitor-grace-period 60s
	) ;;
	kube-scheduler) args=(--kubeconfig "$LAB_PKI/scheduler.kubeconfig" --leader-elect=false --bind-address 127.0.0.1) ;;
	*) die "no such part of the control plane: $part" ;;
	esac
	proc_start "$part" nsenter "--net=/run/netns/$LAB_NETNS" "$LAB/bin/$part" "${args[@]}"
}

control_plane_up() {
	local part
	for part in $CONTROL_PLANE_PARTS; do control_plane_start "$part"; done
	control_plane_wait
}

control_plane_wait() {
	local tries=180
	until [ "$(lab_kubectl get --raw /readyz 2>/dev/null)" = ok ]; do
		proc_alive kube-apiserver || die "the API server ended: see $LAB_RUN/kube-apiserver.log"
		[ $((tries--)) -gt 0 ] || die "the API server is not ready: see $LAB_RUN/kube-apiserver.log"
		sleep 0.5
	done
}

# control_plane_furnish: create Multus' resource type and its permissions.
control_plane_furnish() {
	lab_kubectl apply --server-side -f "$LAB_SRC/manifests" >/dev/null
}

control_plane_down() {
	local part
	for part in kube-scheduler kube-controller-manager kube-apiserver etcd; do proc_stop "$part" 3; done
}
