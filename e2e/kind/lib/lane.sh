# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lane `kind` of `make test`: one RDMA pod there and back with the ledger, in a cluster that comes from the snapshot. It never
# makes a snapshot, which takes a quarter of an hour and more, and never ends what somebody else has started.

LANE_CASE=ledger-there-and-back
LANE_REPORT=$CHECKOUT/build/e2e-kind/report.json
# With two emulated CPUs and nothing else to do it takes 12 minutes.
LANE_SECONDS=1200
# `make test` has to end within 45 minutes. The lanes after this one take 20.
LANE_START_BY=720
# What QEMU and the suite take besides the VM's memory.
LANE_SPARE_MIB=1024

lane() {
	local why status=0
	why=$(lane_obstacle)
	if [ -z "$why" ] && [ "$(engine)" = vm ]; then
		# The key of the snapshot depends on the images' lower layers.
		make --no-print-directory -C "$CHECKOUT" lab-seed native >&2
		shared_up >&2
		[ -d "$(vm_snapshot_dir)" ] ||
			why="the snapshot of the kind cluster is not of these sources (make kind-up makes it anew, in a quarter of an hour)"
	fi
	if [ -n "$why" ]; then
		echo "skipped: $why"
		return
	fi
	rm -f "$LANE_REPORT"
	timeout --kill-after=30 "$LANE_SECONDS" make --no-print-directory -C "$CHECKOUT" e2e-kind "CASE=$LANE_CASE" || status=$?
	[ "$status" != 124 ] || echo "not ok - the lane has taken more than $LANE_SECONDS s"
	# A case that the suite skips ends well. Here it has to run: what would keep it from that has been looked at before.
	if [ "$status" = 0 ] && ! lane_passed; then
		echo "not ok - $LANE_CASE has not passed: $LANE_REPORT has the reason"
		status=1
	fi
	kind_down
	return "$status"
}

# lane_passed: the suite's report says that the case has passed.
lane_passed() {
	node -e '
		const [path, wanted] = process.argv.slice(1);
		const { cases } = JSON.parse(require("node:fs").readFileSync(path, "utf8"));
		process.exitCode = cases.some(({ name, status }) => name === wanted && status === "passed") ? 0 : 1;
	' "$LANE_REPORT" "$LANE_CASE" 2>/dev/null
}

# lane_obstacle: prints why the lane can't run here, or nothing.
lane_obstacle() {
	local needed=$((LAB_MEMORY_MIB + LANE_SPARE_MIB)) free elapsed
	if [ "$(engine)" != vm ]; then
		(engine_require) >/dev/null 2>&1 || { echo "this machine's $(engine) needs what make kind-plan says" && return; }
		(cluster_refuse_other) >/dev/null 2>&1 || { echo "there is another kind cluster $KIND_CLUSTER (make kind-plan)" && return; }
		if cluster_image_is_own && [ -n "$(cache_missing kind-image)" ]; then
			echo "the kind cluster, whose node image is not built (make kind-up makes it, in 20 to 40 minutes)" && return
		fi
	elif [ -n "$(cache_missing kind-snapshot)" ]; then
		echo "the kind cluster, of which there is no snapshot (make kind-up makes it, in 20 to 40 minutes)" && return
	fi
	if [ -e "$READY" ]; then
		echo "a kind cluster is up (make kind-down)" && return
	fi
	mkdir -p "$KIND"
	flock -n "$KIND/lock" true || { echo "another command changes the kind cluster" && return; }
	# Emulated nodes of both on the same CPUs do not get through a case in time.
	if [ "$(engine)" = vm ] && [ -n "$(ip netns pids "$LANE_LAB_NETNS" 2>/dev/null)" ]; then
		echo "the lab is up, and takes the CPUs that kind needs (make lab-down)" && return
	fi
	free=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
	if [ "$(engine)" = vm ] && [ "$free" -lt "$needed" ]; then
		echo "the kind cluster needs $needed MiB of memory, and $free MiB are free" && return
	fi
	elapsed=$(($(date +%s) - ${LANES_STARTED:-$(date +%s)}))
	if [ "$elapsed" -gt "$LANE_START_BY" ]; then
		echo "the lanes before have taken $((elapsed / 60)) minutes: with the kind cluster make test would last longer than 45"
	fi
}
