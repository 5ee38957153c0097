/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_snap_copy: copies a logical volume as it is at one moment, by way of a snapshot. */
#include "snap_copy.h"
#include "snap_main.h"

int main(int argc, char **argv)
{
	return snap_main("lvm_snap_copy", &snap_copy_set, snap_copy_run, argc, argv);
}
