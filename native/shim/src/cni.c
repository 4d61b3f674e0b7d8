// SPDX-License-Identifier: Apache-2.0
/*
 * Wraps the plugin that makes the fabric interface. The agent is asked before (it locks the new
 * namespace and may wish for an address) and after (it makes the RDMA device); the result is the
 * wrapped plugin's own.
 */
#include "cni.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "cni_call.h"
#include "cni_conf.h"
#include "cni_pod.h"
#include "delegate.h"
#include "fault.h"
#include "ipam.h"

int cni_print_error(const json_t *conf, int code, const struct reason *why)
{
	char message[sizeof(why->code) + 16];
	json_t *error;

	snprintf(message, sizeof(message), "sealift: %s", why->code);
	error = json_pack("{s:s, s:i, s:s, s:s}", "cniVersion", cni_conf_version(conf), "code", code,
			  "msg", message, "details", why->text);
	if (error)
		json_dumpf(error, stdout, JSON_COMPACT);
	printf("\n");
	json_decref(error);
	return 1;
}

int cni_error_code(const struct reason *why)
{
	if (!strcmp(why->code, "AgentUnreachable"))
		return CNI_TRY_LATER;
	if (!strcmp(why->code, "BadConfiguration") || !strcmp(why->code, "UnsupportedIpam"))
		return CNI_BAD_CONFIGURATION;
	return CNI_FAILED;
}

/* A value of CNI_ARGS (`KEY=value;KEY=value`), a new string, empty if it is not there. */
static json_t *cni_arg(const char *key)
{
	const char *at = getenv("CNI_ARGS");
	size_t key_length = strlen(key);

	while (at && *at) {
		size_t length = strcspn(at, ";");

		if (length > key_length && at[key_length] == '=' && !strncmp(at, key, key_length))
			return json_stringn(at + key_length + 1, length - key_length - 1);
		at += length + (at[length] == ';');
	}
	return json_string("");
}

json_t *cni_ask(const struct cni *cni, const char *phase, int limit_ms, json_t *more,
		struct reason *why)
{
	json_t *reply = NULL;
	json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "op", "cni",
				    "phase", phase, "containerId", cni->container, "netns",
				    cni->netns, "ifname", cni->ifname, "namespace",
				    cni_arg("K8S_POD_NAMESPACE"), "pod", cni_arg("K8S_POD_NAME"),
				    "podUid", cni_arg("K8S_POD_UID"));

	if (request && cni->hidden)
		json_object_set_new(request, "hidden", json_true());
	if (request && more)
		json_object_update(request, more);
	json_decref(more);
	if (request)
		reply = agent_ask(request, limit_ms, why);
	else
		reason_set(why, "BadConfiguration", "CNI_ARGS or the names are not UTF-8");
	json_decref(request);
	return reply;
}

/* Best effort: the DEL that follows a failed ADD reports it again. */
static void report_deleted(const struct cni *cni)
{
	struct reason why;

	json_decref(cni_ask(cni, "del", AGENT_BRIEF_MS, NULL, &why));
}

static void run_quietly(const json_t *delegate, const char *command)
{
	struct reason why;
	char *output;

	if (delegate_run(delegate, command, &output, &why) == 0)
		free(output);
}

/* Runs the delegate and prints its answer, or the reason why it has none. */
static int run_and_print(const struct cni *cni, const json_t *delegate, const char *command)
{
	struct reason why;
	char *output;
	int status = delegate_run(delegate, command, &output, &why);

	if (status < 0)
		return cni_print_error(cni->conf, cni_error_code(&why), &why);
	fputs(output ? output : "", stdout);
	free(output);
	return status;
}

/* @own is @delegate with the network's own IPAM: what was recorded there is released. */
static void undo(const struct cni *cni, const json_t *own)
{
	run_quietly(own, "DEL");
	report_deleted(cni);
}

static int add_delegate(const struct cni *cni, const json_t *delegate, const json_t *own,
			struct reason *why)
{
	char *output;
	json_t *reply;
	int status;

	fault("shim.add.before");
	status = delegate_run(delegate, "ADD", &output, why);
	fault("shim.add.after");
	if (status) {
		undo(cni, own);
		if (status < 0)
			return cni_print_error(cni->conf, cni_error_code(why), why);
		fputs(output ? output : "", stdout);	/* its own error */
		free(output);
		return 1;
	}
	reply = cni_ask(cni, "after", AGENT_LIMIT_MS, NULL, why);
	if (reply) {
		fputs(output ? output : "", stdout);
	} else {
		undo(cni, own);
		cni_print_error(cni->conf, cni_error_code(why), why);
	}
	free(output);
	status = reply ? 0 : 1;
	json_decref(reply);
	return status;
}

/* The delegate's configuration with the network's own IPAM, checked. A new object, or NULL with @why filled. */
static json_t *own_conf(const struct cni *cni, const json_t *wish, struct reason *why)
{
	json_t *own = cni_conf_delegate(cni->conf, wish, CNI_OWN_IPAM, why);

	if (own && ipam_check(own, why) < 0) {
		json_decref(own);
		own = NULL;
	}
	return own;
}

static int add(struct cni *cni)
{
	struct reason why;
	json_t *wish, *own, *delegate;
	int has_moved, status;

	/* What is wrong with the configuration is better known before anything is done. */
	own = own_conf(cni, NULL, &why);
	if (!own)
		return cni_print_error(cni->conf, CNI_BAD_CONFIGURATION, &why);
	json_decref(own);

	wish = cni_ask(cni, "before", AGENT_LIMIT_MS, NULL, &why);
	if (!wish)
		return cni_print_error(cni->conf, cni_error_code(&why), &why);
	own = own_conf(cni, wish, &why);
	delegate = cni_conf_delegate(cni->conf, wish, 0, &why);
	cni->hidden = json_is_true(json_object_get(wish, "hide")) && cni_conf_hide(delegate);
	has_moved = json_is_true(json_object_get(wish, "moved"));
	json_decref(wish);
	if (!own || ipam_claim(cni, own, has_moved, &why) < 0)
		status = cni_print_error(cni->conf, cni_error_code(&why), &why);
	else
		status = add_delegate(cni, delegate, own, &why);
	json_decref(own);
	json_decref(delegate);
	return status;
}

static int pass_on(const struct cni *cni, const char *command)
{
	struct reason why;
	/* What was recorded for the pod is released by the IPAM that would have given it. */
	int is_delete = !strcmp(command, "DEL");
	json_t *delegate = cni_conf_delegate(cni->conf, NULL,
					     CNI_RESULT | (is_delete ? CNI_OWN_IPAM : 0), &why);
	int status;

	if (!delegate)
		return cni_print_error(cni->conf, CNI_BAD_CONFIGURATION, &why);
	if (is_delete) {
		fault("shim.del.before");
		report_deleted(cni);
	}
	status = run_and_print(cni, delegate, command);
	if (is_delete)
		fault("shim.del.after");
	json_decref(delegate);
	return status;
}

static int version(void)
{
	printf("{\"cniVersion\":\"1.1.0\",\"supportedVersions\":"
	       "[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n");
	return 0;
}

static int status_of_agent(const struct cni *cni)
{
	struct reason why;

	if (agent_present())
		return 0;
	reason_set(&why, "AgentUnreachable", "no Sealift agent answers on this node");
	return cni_print_error(cni->conf, CNI_NOT_AVAILABLE, &why);
}

static int need(const char **value, const char *name, const struct cni *cni)
{
	struct reason why;

	*value = getenv(name);
	if (*value && **value)
		return 0;
	reason_set(&why, "BadEnvironment", "%s is not set", name);
	cni_print_error(cni->conf, CNI_BAD_ENVIRONMENT, &why);
	return -1;
}

static int run_command(const char *command, struct cni *cni)
{
	struct reason why;

	if (!strcmp(command, "STATUS"))
		return status_of_agent(cni);
	if (!strcmp(command, "GC"))
		return cni_is_pod(cni->conf) ? 0 : pass_on(cni, command);
	if (need(&cni->container, "CNI_CONTAINERID", cni) < 0 ||
	    need(&cni->ifname, "CNI_IFNAME", cni) < 0)
		return 1;
	cni->netns = getenv("CNI_NETNS");
	if (!strcmp(command, "DEL")) {
		/* The namespace may be gone already. */
		cni->netns = cni->netns ? cni->netns : "";
		return cni_is_pod(cni->conf) ? cni_pod_delete(cni) : pass_on(cni, command);
	}
	if (need(&cni->netns, "CNI_NETNS", cni) < 0)
		return 1;
	if (!strcmp(command, "ADD"))
		return cni_is_pod(cni->conf) ? cni_pod_add(cni) : add(cni);
	if (!strcmp(command, "CHECK"))
		return cni_is_pod(cni->conf) ? 0 : pass_on(cni, command);
	reason_set(&why, "BadEnvironment", "unknown CNI_COMMAND %s", command);
	return cni_print_error(cni->conf, CNI_BAD_ENVIRONMENT, &why);
}

int cni_main(void)
{
	const char *command = getenv("CNI_COMMAND");
	struct cni cni = { 0 };
	struct reason why;
	int status;

	if (!command) {
		reason_set(&why, "BadEnvironment", "CNI_COMMAND is not set");
		return cni_print_error(NULL, CNI_BAD_ENVIRONMENT, &why);
	}
	if (!strcmp(command, "VERSION"))
		return version();
	cni.conf = cni_conf_read(&why);
	if (!cni.conf)
		return cni_print_error(NULL, CNI_BAD_CONFIGURATION, &why);
	status = run_command(command, &cni);
	json_decref(cni.conf);
	return status;
}
