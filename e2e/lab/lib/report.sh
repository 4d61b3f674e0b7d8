# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# State and logs of the lab.

report_status() {
	local name n
	for name in $CONTROL_PLANE_PARTS; do
		printf '%-24s %s\n' "$name" "$(proc_pid "$name" || echo down)"
	done
	for n in $(seq "$LAB_MAX_NODE"); do
		printf '%-24s %s\n' "w$n ($(node_ip "$n"))" "$(proc_pid "w$n" || echo down)"
	done
	proc_alive kube-apiserver && lab_kubectl get nodes -o wide
}

# report_logs [DIR]: collect the logs of kernel, kubelet, containerd and containers of every node that answers, and those
# of the control plane.
report_logs() {
	local out=${1:-$LAB/logs} n
	mkdir -p "$out"
	cp "$LAB_RUN"/*.log "$LAB_RUN"/*.console "$out/" 2>/dev/null || true
	if proc_alive kube-apiserver; then
		lab_kubectl get pods,events,nodes -A -o wide >"$out/objects.txt" 2>&1 || true
		lab_kubectl get pods -A -o yaml >"$out/pods.yaml" 2>&1 || true
	fi
	for n in $(seq "$LAB_MAX_NODE"); do
		proc_alive "w$n" || continue
		mkdir -p "$out/w$n"
		node_ssh "$n" dmesg >"$out/w$n/dmesg.txt" </dev/null || true
		node_ssh "$n" 'journalctl -b --no-pager -o short-precise -u kubelet -u containerd' >"$out/w$n/journal.txt" </dev/null || true
		node_ssh "$n" 'ps -ef; ctr -n k8s.io containers ls; ctr -n k8s.io tasks ls; ip -d addr; rdma link; nft list ruleset' >"$out/w$n/state.txt" 2>&1 </dev/null || true
		node_ssh "$n" 'cd /var/log/pods 2>/dev/null && tar -cf - .' </dev/null | tar -C "$out/w$n" -xf - 2>/dev/null || true
	done
	log "logs are in $out"
}
