// SPDX-License-Identifier: Apache-2.0
#include "cni_pod.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "cni_conf.h"
#include "cni_state.h"
#include "delegate.h"
#include "fault.h"

int cni_is_pod(const json_t *conf)
{
	return json_is_true(json_object_get(conf, "podNetwork"));
}

/* The plugin at @index, with what the network has in common; a new object, or NULL. */
static json_t *plugin_at(const struct cni *cni, const json_t *network, size_t index,
			 const json_t *result)
{
	json_t *own = json_array_get(json_object_get(network, "plugins"), index);
	const char *type = json_string_value(json_object_get(own, "type"));
	json_t *plugin;

	if (!type || !*type || strchr(type, '/') || !strcmp(type, "sealift"))
		return NULL;
	plugin = json_deep_copy(own);
	json_object_set(plugin, "name", json_object_get(network, "name"));
	json_object_set(plugin, "cniVersion", json_object_get(network, "cniVersion"));
	if (result)
		json_object_set(plugin, "prevResult", (json_t *)result);
	json_object_set_new(plugin, "runtimeConfig", cni_conf_runtime(cni->conf, plugin));
	return plugin;
}

static size_t count(const json_t *network)
{
	return json_array_size(json_object_get(network, "plugins"));
}

/* Every plugin is asked, the last one first; the first failure counts. */
static int undo(const struct cni *cni, const json_t *network, struct reason *why)
{
	size_t index = count(network);
	int failed = 0;

	while (index-- > 0) {
		json_t *plugin = plugin_at(cni, network, index, json_object_get(network, "result"));
		struct reason own;
		char *output = NULL;
		int status = plugin ? delegate_run(plugin, "DEL", &output, &own) : 0;

		if (status && !failed) {
			failed = 1;
			if (status < 0)
				*why = own;
			else
				reason_set(why, "DelegateFailed", "%.900s", output ? output : "");
		}
		free(output);
		json_decref(plugin);
	}
	return failed ? -1 : 0;
}

/* Runs the plugin at @index. Returns its result, or NULL with @why filled. */
static json_t *add_plugin(const struct cni *cni, const json_t *network, size_t index,
			  const json_t *before, struct reason *why)
{
	json_t *plugin = plugin_at(cni, network, index, before);
	json_t *result = NULL;
	char *output = NULL;
	int status;

	if (!plugin) {
		reason_set(why, "BadConfiguration", "plugin %zu of the cluster's network has no type of its own",
			   index);
		return NULL;
	}
	status = delegate_run(plugin, "ADD", &output, why);
	if (status == 0)
		result = output ? json_loads(output, 0, NULL) : NULL;
	if (status > 0 || (status == 0 && !json_is_object(result)))
		reason_set(why, "DelegateFailed", "%.900s", output ? output : "no output");
	if (!json_is_object(result)) {
		json_decref(result);
		result = NULL;
	}
	free(output);
	json_decref(plugin);
	return result;
}

/* Returns the result to print, or NULL with @why filled. */
static json_t *add_all(const struct cni *cni, json_t *network, struct reason *why)
{
	json_t *result = NULL, *reply, *given;
	size_t index;

	fault("shim.add.before");
	for (index = 0; index < count(network); index++) {
		json_t *next = add_plugin(cni, network, index, result, why);

		json_decref(result);
		result = next;
		if (!result)
			return NULL;
	}
	json_object_set(network, "result", result);
	if (cni_state_save(cni, network, why) < 0) {
		json_decref(result);
		return NULL;
	}
	fault("shim.add.after");
	reply = cni_ask(cni, "after", AGENT_LIMIT_MS,
			json_pack("{s:s, s:O}", "network", "pod", "result", result), why);
	given = json_object_get(reply, "result");
	if (!reply || json_is_object(given)) {
		json_decref(result);
		result = json_incref(given);
	}
	json_decref(reply);
	return result;
}

int cni_pod_add(const struct cni *cni)
{
	struct reason why, ignored;
	json_t *network, *result = NULL;

	network = cni_ask(cni, "before", AGENT_LIMIT_MS, json_pack("{s:s}", "network", "pod"), &why);
	if (!network)
		return cni_print_error(cni->conf, cni_error_code(&why), &why);
	if (!count(network)) {
		reason_set(&why, "BadConfiguration", "the agent names no plugin of the cluster's network");
	} else if (cni_state_save(cni, network, &why) == 0) {
		/* Before the first plugin runs: what is there is undone whatever comes next. */
		result = add_all(cni, network, &why);
		if (!result) {
			undo(cni, network, &ignored);
			cni_state_remove(cni);
		}
	}
	json_decref(network);
	if (!result)
		return cni_print_error(cni->conf, cni_error_code(&why), &why);
	json_dumpf(result, stdout, JSON_COMPACT);
	printf("\n");
	json_decref(result);
	return 0;
}

int cni_pod_delete(const struct cni *cni)
{
	struct reason why;
	int failed;
	json_t *network = cni_state_load(cni, &failed, &why);

	if (failed)
		return cni_print_error(cni->conf, CNI_BAD_ENVIRONMENT, &why);
	/* Without it no plugin has run. */
	if (!network) {
		cni_state_remove(cni);
		return 0;
	}
	fault("shim.del.before");
	if (undo(cni, network, &why) < 0) {
		json_decref(network);
		return cni_print_error(cni->conf, cni_error_code(&why), &why);
	}
	fault("shim.del.after");
	cni_state_remove(cni);
	json_decref(network);
	return 0;
}
