/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From options to a storage. */
#include "modes.h"

#include "cow.h"
#include "fsutil.h"
#include "proxy.h"
#include "util.h"

#include <errno.h>

static struct storage *open_target(
	const struct server_options *o, const char *image, struct err *err)
{
	unsigned how = (o->readonly ? FILE_READONLY : 0) | (o->direct ? FILE_DIRECT : 0);

	return file_open(image, how, err);
}

static struct storage *open_cow(const struct server_options *o, const char *base, struct err *err)
{
	/* Without writes there is nothing to keep apart. */
	bool plain = o->readonly && !o->cow_layer;
	const struct cow_config config = {.base = base,
		.dir = o->cow_dir,
		.layer = o->cow_layer,
		.block = o->cow_block ? (unsigned)o->cow_block : COW_BLOCK_DEFAULT,
		.shared = o->cow_shared,
		.readonly = o->readonly};

	return plain ? open_target(o, base, err) : cow_open(&config, err);
}

static struct storage *open_proxy(
	const struct server_options *o, const struct modes_words *words, struct err *err)
{
	char uri[ORIGIN_URI_MAX];
	const struct proxy_config config = {.uri = words->uri ? words->uri : uri,
		.cache = words->image,
		.bitmap = words->bitmap,
		.clear = o->clear_bitmap,
		.readonly = o->readonly,
		.timeout_ms = (unsigned)o->origin_timeout * 1000,
		.wait_ms = (unsigned)o->origin_wait * 1000,
		.connections = (unsigned)o->origin_connections};

	if (!words->uri && origin_uri(words->host, words->port, o->target_exportname, uri, err) < 0)
		return NULL;
	return proxy_open(&config, err);
}

void modes_take(const struct server_options *o, int count, char **words, struct modes_words *ret)
{
	*ret = (struct modes_words){.image = words[0]};
	if (o->mode != MODE_PROXY) {
		fs_settle(&ret->image);
		return;
	}
	if (count == 5) {
		ret->host = words[0];
		ret->port = words[1];
	} else {
		ret->uri = words[0];
	}
	ret->image = words[count - 3];
	ret->bitmap = words[count - 2];
	ret->control = words[count - 1];
	fs_settle(&ret->image);
	fs_settle(&ret->bitmap);
	fs_settle(&ret->control);
}

/* What clients are told of blocks, and a size they can reach all of. */
static int settle_blocks(const struct server_options *o, struct export_facts *f)
{
	if (o->block_min)
		f->block_min = (uint32_t)o->block_min;
	if (o->block_max)
		f->block_max = (uint32_t)o->block_max;
	f->block_preferred = MIN_OF(f->block_preferred, f->block_max);
	if (o->block_preferred)
		f->block_preferred = (uint32_t)o->block_preferred;
	f->block_preferred = MAX_OF(f->block_preferred, f->block_min);
	f->size = round_down(f->size, f->block_min);
	return f->size > 0 ? 0 : -EINVAL;
}

static struct storage *open_mode(
	const struct server_options *o, const struct modes_words *words, struct err *err)
{
	if (o->mode == MODE_COW)
		return open_cow(o, words->image, err);
	if (o->mode == MODE_PROXY)
		return open_proxy(o, words, err);
	return open_target(o, words->image, err);
}

struct storage *modes_open(
	const struct server_options *o, const struct modes_words *words, struct err *err)
{
	struct storage *st = open_mode(o, words, err);

	if (!st || settle_blocks(o, &st->facts) == 0)
		return st;
	err_set(err, EINVAL, "%s: is shorter than --block-min", words->image);
	st->ops->close(st);
	return NULL;
}
