# SPDX-License-Identifier: Apache-2.0
# The lab: a control plane on this machine and Debian 13 workers in VMs. See e2e/lab/README.md.

LAB_SH := e2e/lab/lab.sh
BUILDER := e2e/lab/builder.sh
# STEP NAME COMMAND...: with the progress display; V=1 shows all of the output.
STEP := e2e/lab/step.sh

.PHONY: lab-plan lab-deps lab-binaries lab-operators lab-seed lab-up lab-down lab-env lab-load lab-ssh lab-status lab-logs lab-peer lab-clean builder

lab-plan: ## Say what has to be made first, and how long that usually takes
	@$(LAB_SH) plan $(if $(filter-out lab-up lab-plan,$(MAKECMDGOALS)),driver native images)

lab-deps: ## Install what the lab needs on this machine (apt, root)
	@$(LAB_SH) deps

lab-binaries: lab-deps
	@$(LAB_SH) binaries

lab-operators: lab-deps ## Build JobSet's, LeaderWorkerSet's and MPIJob's operators, for the tests that run them
	@$(LAB_SH) operators

lab-seed: lab-deps node_modules/.package-lock.json
	@images/build.sh bases

lab-up: lab-plan lab-seed ## Start the lab: about 20 minutes the first time, then about one
	@$(LAB_SH) up

lab-down: ## Stop the lab
	@$(LAB_SH) down

lab-env: ## Print shell lines for kubectl and helm: eval "$$(make -s lab-env)"
	@$(LAB_SH) env

lab-load: node_modules/.package-lock.json ## Import an image archive on every node: IMAGE=archive.tar
	@$(LAB_SH) load '$(IMAGE)'

lab-ssh: ## Open a shell on node N: N=1
	@$(LAB_SH) ssh '$(or $(N),1)'

lab-status: ## Show what runs
	@$(LAB_SH) status

lab-logs: ## Collect logs of nodes and control plane under build/lab/logs
	@$(LAB_SH) logs

lab-peer: ## Add a VM outside the cluster, on both networks
	@$(LAB_SH) peer

lab-clean: ## Stop the lab and remove its certificates and state; the cache stays
	@$(LAB_SH) clean

builder: lab-deps ## Make the Debian 13 tree in which native parts are built
	@$(BUILDER) up
