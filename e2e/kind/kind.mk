# SPDX-License-Identifier: Apache-2.0
# A kind cluster with SoftRoCE: on this machine's Docker, or in a VM. See e2e/kind/README.md.

KIND_SH := e2e/kind/kind.sh

.PHONY: kind-plan kind-cluster kind-up kind-down kind-env kind-image kind-load kind-status kind-logs kind-lane

kind-plan: ## Say what kind-up has to make first, and how long that usually takes
	@$(KIND_SH) plan driver native images

kind-image: lab-seed ## Make the node image of the kind cluster only
	@$(KIND_SH) image

kind-cluster: kind-plan lab-seed native
	@$(KIND_SH) up

kind-up: kind-cluster build ## Start a kind cluster with SoftRoCE and Sealift: half an hour the first time, then a few minutes
	@PROVIDER=kind node e2e/main.ts --install

kind-down: ## End the kind cluster
	@$(KIND_SH) down

# A case there and back, where that fits; else it says why not.
kind-lane:
	@$(KIND_SH) lane

kind-env: ## Print shell lines for kubectl and helm: eval "$$(make -s kind-env)"
	@$(KIND_SH) env

kind-load: ## Import an image archive on every worker: IMAGE=archive.tar
	@$(KIND_SH) load '$(IMAGE)'

kind-status: ## Show the kind cluster
	@$(KIND_SH) status

kind-logs: ## Collect logs of the kind cluster under build/kind/logs
	@$(KIND_SH) logs
