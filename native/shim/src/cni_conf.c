// SPDX-License-Identifier: Apache-2.0
#include "cni_conf.h"

#include <stdio.h>
#include <string.h>

json_t *cni_conf_read(struct reason *why)
{
	json_error_t error;
	json_t *conf = json_loadf(stdin, 0, &error);

	if (json_is_object(conf))
		return conf;
	json_decref(conf);
	reason_set(why, "BadConfiguration", "network configuration is not a JSON object: %s",
		   conf ? "another type" : error.text);
	return NULL;
}

const char *cni_conf_version(const json_t *conf)
{
	const char *version = json_string_value(json_object_get(conf, "cniVersion"));

	return version ? version : "0.3.1";
}

static json_t *runtime_config(const json_t *conf, const json_t *delegate, const json_t *wish)
{
	json_t *given = json_object_get(conf, "runtimeConfig");
	json_t *capabilities = json_object_get(delegate, "capabilities");
	json_t *wished = wish ? json_pack("{s:O*, s:O*}", "ips", json_object_get(wish, "ips"),
					  "mac", json_object_get(wish, "mac")) : NULL;
	json_t *all = json_is_object(given) ? json_copy(given) : json_object();
	const char *name;
	json_t *value;
	void *next;

	json_object_update(all, wished);
	json_decref(wished);
	if (json_is_object(capabilities)) {
		json_object_foreach_safe(all, next, name, value) {
			if (!json_is_true(json_object_get(capabilities, name)))
				json_object_del(all, name);
		}
	}
	return all;
}

json_t *cni_conf_runtime(const json_t *conf, const json_t *plugin)
{
	return runtime_config(conf, plugin, NULL);
}

/*
 * host-local takes only addresses of its own range that are free on its own node, and the address of a pod that moves
 * here need be neither. So `static` gives it, and ipam_claim() writes host-local's record.
 * Plugins hand their whole configuration to IPAM, so that `static` finds runtimeConfig's `ips`.
 */
static void fix_ipam(json_t *delegate, const json_t *runtime)
{
	json_t *ips = json_object_get(runtime, "ips");
	json_t *ipam = json_object_get(delegate, "ipam");
	const char *type = json_string_value(json_object_get(ipam, "type"));
	json_t *fixed;

	if (!json_array_size(ips) || !type || !strcmp(type, "static"))
		return;
	fixed = json_pack("{s:s, s:O*, s:O*}", "type", "static", "routes",
			  json_object_get(ipam, "routes"), "dns", json_object_get(ipam, "dns"));
	json_object_set_new(delegate, "ipam", fixed);
}

json_t *cni_conf_delegate(const json_t *conf, const json_t *wish, enum cni_conf_parts parts,
			  struct reason *why)
{
	json_t *inner = json_object_get(conf, "delegate");
	const char *type = json_string_value(json_object_get(inner, "type"));
	json_t *delegate, *runtime;

	if (!type || !*type || strchr(type, '/') || !strcmp(type, "sealift")) {
		reason_set(why, "BadConfiguration",
			   "`delegate` must be a plugin's configuration with a `type` of its own");
		return NULL;
	}
	delegate = json_deep_copy(inner);
	json_object_set(delegate, "name", json_object_get(conf, "name"));
	json_object_set_new(delegate, "cniVersion", json_string(cni_conf_version(conf)));
	if (parts & CNI_RESULT && json_object_get(conf, "prevResult"))
		json_object_set(delegate, "prevResult", json_object_get(conf, "prevResult"));

	runtime = runtime_config(conf, delegate, wish);
	if (!(parts & CNI_OWN_IPAM))
		fix_ipam(delegate, runtime);
	json_object_set_new(delegate, "runtimeConfig", runtime);
	return delegate;
}

int cni_conf_hide(json_t *delegate)
{
	const char *type = json_string_value(json_object_get(delegate, "type"));
	json_t *mode = json_object_get(delegate, "mode");
	const char *name = json_string_value(mode);

	/* The plugin's own default is bridge. */
	if (!type || strcmp(type, "macvlan") || (mode && (!name || (*name && strcmp(name, "bridge")))))
		return 0;
	return !json_object_set_new(delegate, "mode", json_string("vepa"));
}
