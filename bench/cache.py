# SPDX-License-Identifier: GPL-2.0-or-later
"""The page cache, emptied before a sample."""
import os

DROP = "/proc/sys/vm/drop_caches"


def drop(image):
    """Throws the pages of IMAGE away. The rest of the cache goes too if we may: file systems keep
    their own metadata there."""
    os.sync()
    fd = os.open(image, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    try:
        with open(DROP, "w", encoding="ascii") as f:
            f.write("1")
    except OSError:
        pass  # not root
