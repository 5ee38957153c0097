# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# A volume group that two nodes see and one may use.
#
# What is active is read from the kernel's devices, not believed. Whose it is stands in a tag of the
# group, xnbd.owner=NODE: set before anything is activated, removed when nothing is active any more.
# A tag of another node is replaced only if the cluster says that this node is gone, or that the
# group does not run there. Nothing is written to a group that another node may have active.

VG_OWNER=xnbd.owner=
export LVM_SUPPRESS_FD_WARNINGS=1 # of descriptors that callers left open

vg_defaults() {
	: "${OCF_RESKEY_volgrpname=}" "${OCF_RESKEY_snapshot_tag=xnbd.temporary}"
	: "${OCF_RESKEY_release_users=true}" "${OCF_RESKEY_cluster=pacemaker}"
	: "${OCF_RESKEY_node=${OCF_RESKEY_CRM_meta_on_node:-$(uname -n)}}"
}

vg_validate() {
	if ! vg_has_name; then
		agent_fail "$OCF_ERR_CONFIGURED" \
			"volgrpname=$OCF_RESKEY_volgrpname: the name of a volume group is needed"
		return
	fi
	vg_validate_words || return
	agent_need lvm fuser
}

# Nothing runs under another one, and LVM would take it for an option, a tag, or all groups.
vg_has_name() {
	case $OCF_RESKEY_volgrpname in
	'' | -* | . | .. | *[!A-Za-z0-9+_.-]*) return 1 ;;
	esac
}

vg_validate_words() {
	case $OCF_RESKEY_snapshot_tag in
	-* | *[!A-Za-z0-9+_./=!:#\&-]*)
		agent_fail "$OCF_ERR_CONFIGURED" "snapshot_tag=$OCF_RESKEY_snapshot_tag: not a tag of LVM"
		return
		;;
	esac
	case $OCF_RESKEY_node in
	'' | *[!A-Za-z0-9_.-]*)
		agent_fail "$OCF_ERR_ARGS" "node=$OCF_RESKEY_node: not the name of a node"
		return
		;;
	esac
	case $OCF_RESKEY_cluster in
	pacemaker | heartbeat | none) return "$OCF_SUCCESS" ;;
	esac
	agent_fail "$OCF_ERR_CONFIGURED" \
		"cluster=$OCF_RESKEY_cluster: pacemaker, heartbeat or none is needed"
}

# Devices of the kernel that belong to the group, as dm-0, hidden ones too. Its name is theirs up to
# the first single dash.
vg_devices() {
	vg_prefix=$(printf %s "$OCF_RESKEY_volgrpname" | sed 's/-/--/g')
	for vg_file in /sys/block/dm-*/dm/name; do
		read -r vg_name 2>/dev/null <"$vg_file" || continue
		read -r vg_uuid 2>/dev/null <"${vg_file%/name}/uuid" || continue
		case $vg_uuid/$vg_name in
		LVM-*/"$vg_prefix"-[!-]*)
			vg_file=${vg_file#/sys/block/}
			echo "${vg_file%%/*}"
			;;
		esac
	done
}

# vg_run PARTS COMMAND...: in such a part of the time that is left; vg_out is what it said.
vg_run() {
	vg_seconds=$(agent_share "$1")
	shift
	vg_lvm lvm "$@"
	[ "$vg_status" -ne 124 ] || vg_out="LVM does not answer"
	return "$vg_status"
}

# vg_ask REPORT-COMMAND...: vg_out has its fields as words.
vg_ask() {
	vg_seconds=$(agent_share 3)
	# shellcheck disable=SC2016 # of the inner shell
	vg_lvm sh -c 'exec lvm "$@" 2>/dev/null' sh "$@" --noheadings --separator ' '
}

vg_lvm() {
	agent_run "$vg_seconds" "$@"
	vg_status=$?
	# shellcheck disable=SC2154 # of lib.sh
	vg_out=$agent_out
	if [ "$vg_status" -eq 137 ]; then vg_status=124; fi # it had to be killed
	return "$vg_status"
}

# Names of volumes that should be active and are not. Those that the administrator excepted
# (lvchange --setactivationskip y) do not count.
vg_inactive() {
	vg_ask lvs -o lv_name -S 'lv_active!="active" && lv_skip_activation=0' \
		"$OCF_RESKEY_volgrpname"
}

# Node in the tag, "" none.
vg_owner() {
	vg_ask vgs -o vg_tags "$OCF_RESKEY_volgrpname" || return
	echo "$vg_out" | tr , '\n' | tr -d ' ' | sed -n "s/^$VG_OWNER//p" | head -n 1
}

vg_is_empty_and_ours() {
	vg_ask vgs -o lv_count "$OCF_RESKEY_volgrpname" || return
	[ "$(echo "$vg_out" | tr -d ' ')" = 0 ] && [ "$(vg_owner)" = "$OCF_RESKEY_node" ]
}

vg_monitor() {
	vg_has_name || return "$OCF_NOT_RUNNING"
	if [ -z "$(vg_devices)" ]; then
		have_binary lvm || return "$OCF_NOT_RUNNING" # nothing is there that it could have made
		vg_is_empty_and_ours && return "$OCF_SUCCESS"
		return "$OCF_NOT_RUNNING"
	fi
	agent_need lvm || return "$OCF_ERR_GENERIC"
	if ! vg_inactive; then
		agent_fail "$OCF_ERR_GENERIC" "$OCF_RESKEY_volgrpname: active, but cannot be read"
	elif [ -n "$vg_out" ]; then
		agent_fail "$OCF_ERR_GENERIC" \
			"$OCF_RESKEY_volgrpname: active in part, without $(echo "$vg_out" | agent_line)"
	else
		vg_judge_owner "$(vg_owner)"
	fi
}

vg_judge_owner() {
	case $1 in
	'' | "$OCF_RESKEY_node") return "$OCF_SUCCESS" ;;
	esac
	agent_fail "$OCF_ERR_GENERIC" \
		"$OCF_RESKEY_volgrpname: active here, but it belongs to $1: do not use it before you know why"
}

# Is the node $1, whose tag is there, out of the way? Otherwise the reason is told.
vg_is_gone() {
	case $OCF_RESKEY_cluster in
	pacemaker) vg_is_gone_pacemaker "$1" && return ;;
	heartbeat) [ "$(agent_limit 10 cl_status nodestatus "$1" 2>/dev/null)" = dead ] && return ;;
	esac
	agent_fail "$OCF_ERR_GENERIC" "$OCF_RESKEY_volgrpname: may be active on $1. If it is not:\
 vgchange --deltag $VG_OWNER$1 $OCF_RESKEY_volgrpname"
}

# A node that is not in our partition was fenced before anything of it is started here, if there is
# fencing. One that is in it was asked by the cluster, which knows what runs there; its tag is from
# before a power cut.
vg_is_gone_pacemaker() {
	vg_members=" $(agent_limit 10 crm_node --partition 2>/dev/null) "
	case $vg_members in
	*" $OCF_RESKEY_node "*) ;;
	*) return 1 ;; # no cluster answers
	esac
	case $vg_members in
	*" $1 "*)
		vg_runs_nowhere_else
		return
		;;
	esac
	agent_limit 10 crm_node --list 2>/dev/null | awk '{ print $2 }' | grep -Fqx -e "$1" || return
	ocf_is_true "$(agent_limit 10 crm_attribute --query --name stonith-enabled --default true \
		--quiet 2>/dev/null)"
}

# Our own start, which is under way, counts as running here.
vg_runs_nowhere_else() {
	vg_places=$(agent_limit 10 crm_resource --resource "$OCF_RESOURCE_INSTANCE" --locate 2>&1)
	case $vg_places in
	*'is NOT running'*) return 0 ;;
	*'is running on: '*) ;;
	*) return 1 ;;
	esac
	! echo "$vg_places" | sed -n 's/.*is running on: *\([^ ]*\).*/\1/p' |
		grep -Fqvx -e "$OCF_RESKEY_node"
}

# The tag of this node in the place of another one's, in one step.
vg_claim() {
	if ! vg_other=$(vg_owner); then
		agent_fail "$OCF_ERR_GENERIC" "tags of $OCF_RESKEY_volgrpname cannot be read"
		return
	fi
	if [ "$vg_other" = "$OCF_RESKEY_node" ]; then
		return "$OCF_SUCCESS"
	fi
	if [ -n "$vg_other" ]; then
		vg_is_gone "$vg_other" || return
		ocf_log warn "$OCF_RESKEY_volgrpname is taken from $vg_other"
	fi
	vg_run 3 vgchange ${vg_other:+--deltag "$VG_OWNER$vg_other"} \
		--addtag "$VG_OWNER$OCF_RESKEY_node" "$OCF_RESKEY_volgrpname" && return "$OCF_SUCCESS"
	agent_fail "$OCF_ERR_GENERIC" "no tag for $OCF_RESKEY_volgrpname: $(echo "$vg_out" | agent_line)"
}

# Not if LVM has just not answered: there may be no time to wait for it again. A node that starts the
# group next asks the cluster about the tag.
vg_disown() {
	[ "${vg_status:-0}" -ne 124 ] || return "$OCF_SUCCESS"
	[ "$(vg_owner)" = "$OCF_RESKEY_node" ] || return "$OCF_SUCCESS"
	vg_run 1 vgchange --deltag "$VG_OWNER$OCF_RESKEY_node" "$OCF_RESKEY_volgrpname" ||
		ocf_log warn "$OCF_RESKEY_volgrpname keeps its tag: $(echo "$vg_out" | agent_line)"
	return "$OCF_SUCCESS"
}

# Snapshots of backups that were cut short would make activation take minutes: all that was ever
# written to them is read. They go while they are inactive. One that stays only costs time.
vg_drop_snapshots() {
	[ -n "$OCF_RESKEY_snapshot_tag" ] || return 0
	vg_ask lvs -o lv_name -S "lv_tags={\"$OCF_RESKEY_snapshot_tag\"} && origin!=\"\"" \
		"$OCF_RESKEY_volgrpname" || return 0
	for vg_snapshot in $vg_out; do
		if vg_run 3 lvremove --yes "$OCF_RESKEY_volgrpname/$vg_snapshot"; then
			ocf_log info "stale snapshot $OCF_RESKEY_volgrpname/$vg_snapshot is removed"
		else
			ocf_log warn "snapshot $vg_snapshot stays: $(echo "$vg_out" | agent_line)"
		fi
	done
}

vg_warn_of_boot() {
	vg_ask vgs -o vg_autoactivation "$OCF_RESKEY_volgrpname" || return 0
	case $vg_out in
	*enabled* | *1*) ocf_log warn "$OCF_RESKEY_volgrpname is activated by each boot: \
vgchange --setautoactivation n $OCF_RESKEY_volgrpname" ;;
	esac
}

vg_start() {
	vg_ask vgs -o vg_name "$OCF_RESKEY_volgrpname"
	case $vg_status in
	0) ;;
	124)
		agent_fail "$OCF_ERR_GENERIC" "LVM does not answer: is a disk of this node gone?"
		return
		;;
	*)
		agent_fail "$OCF_ERR_INSTALLED" "$OCF_RESKEY_volgrpname: this node sees no such volume group"
		return
		;;
	esac
	vg_claim || return
	if [ -n "$(vg_devices)" ] && vg_inactive && [ -z "$vg_out" ]; then
		return "$OCF_SUCCESS"
	fi
	vg_warn_of_boot
	vg_drop_snapshots
	vg_run 1 vgchange -ay "$OCF_RESKEY_volgrpname"
	vg_said=$vg_out
	vg_monitor && return "$OCF_SUCCESS"
	agent_fail "$OCF_ERR_GENERIC" \
		"$OCF_RESKEY_volgrpname is not active: $(echo "$vg_said" | agent_line)"
	vg_stop
	return "$OCF_ERR_GENERIC"
}

# fuser goes by nodes of devices, and without udev there are two.
vg_nodes() {
	for vg_device in $(vg_devices); do
		read -r vg_name 2>/dev/null <"/sys/block/$vg_device/dm/name" || continue
		for vg_node in "/dev/$vg_device" "/dev/mapper/$vg_name"; do
			[ ! -e "$vg_node" ] || echo "$vg_node"
		done
	done
}

# Who has a node open, "NODE PID" each, by one look at all processes.
vg_openers() {
	vg_list=$(vg_nodes)
	[ -n "$vg_list" ] || return 0
	# shellcheck disable=SC2086 # a list of words
	fuser $vg_list 2>&1 | awk '/^\/dev\// {
		node = $1
		sub(":", "", node)
		for (i = 2; i <= NF; i++) print node, $i + 0
	}'
}

# Who uses the group, as words for people.
vg_users() {
	vg_openers | while read -r vg_node vg_user; do
		read -r vg_command 2>/dev/null <"/proc/$vg_user/comm" || continue
		vg_name=${vg_node##*/}
		[ "$vg_node" != "/dev/$vg_name" ] || read -r vg_name <"/sys/block/$vg_name/dm/name"
		echo "$vg_name: $vg_command ($vg_user)"
	done | sort -u
	vg_mounts
}

vg_mounts() {
	for vg_device in $(vg_devices); do
		cat "/sys/block/$vg_device/dev" 2>/dev/null
	done | awk 'FNR == NR { ours[$1]; next } $3 in ours { print "mounted at " $5 }' \
		- /proc/self/mountinfo
}

vg_release_users() { # SIGNAL
	for vg_user in $(vg_openers | sed 's/.* //' | sort -u); do
		ocf_log warn "$OCF_RESKEY_volgrpname: signal $1 to process $vg_user"
		kill -s "$1" "$vg_user" 2>/dev/null
	done
}

vg_is_unused() {
	[ -z "$(vg_users)" ]
}

# Without metadata (disks are gone) devices can still be removed, one behind the other.
vg_deactivate() {
	vg_run 2 vgchange -an "$OCF_RESKEY_volgrpname"
	[ -n "$(vg_devices)" ] || return 0
	vg_ask vgs -o vg_name "$OCF_RESKEY_volgrpname" && return 1
	for _ in 1 2 3; do
		for vg_device in $(vg_devices); do
			read -r vg_name <"/sys/block/$vg_device/dm/name"
			agent_run "$(agent_share 3)" dmsetup remove "$vg_name"
		done
	done
	[ -z "$(vg_devices)" ]
}

# Who still has a volume open is a backup or a person; they had their time.
vg_stop() {
	vg_has_name || return "$OCF_SUCCESS"
	if [ -z "$(vg_devices)" ]; then
		if have_binary lvm; then
			vg_disown
		fi
		return "$OCF_SUCCESS"
	fi
	agent_need lvm fuser || return "$OCF_ERR_GENERIC"
	if ocf_is_true "$OCF_RESKEY_release_users" && ! vg_is_unused; then
		vg_release_users TERM
		agent_wait 3 vg_is_unused || vg_release_users KILL
	fi
	while ! vg_deactivate; do
		if [ "$(agent_now)" -ge "$AGENT_END" ]; then
			agent_fail "$OCF_ERR_GENERIC" "$OCF_RESKEY_volgrpname stays active:\
 $(vg_users | agent_line) $(echo "$vg_out" | agent_line)"
			return
		fi
		if ocf_is_true "$OCF_RESKEY_release_users"; then
			vg_release_users KILL
		fi
		sleep 0.2
	done
	vg_disown
}

# Before the cluster starts: what a boot activated is deactivated, and a tag that this node had when
# it lost its power is removed. If another node took over since, the tag is that one's, and stays.
vg_boot() {
	OCF_RESKEY_release_users=false
	vg_stop
}
