# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's certificates, kubeconfigs and ssh keys under $LAB_PKI. P-256 throughout: RSA is slow in emulated guests.
# They are valid for a year. When less than a week is left, the lab makes all of them again, and with them the node disk and
# the snapshot, whose keys include the CA certificate.

pki_up() {
	if [ -f "$LAB_PKI/complete" ] && openssl x509 -checkend 604800 -noout -in "$LAB_PKI/ca.crt" >/dev/null; then return 0; fi
	log "making certificates"
	rm -rf "$LAB_PKI"
	mkdir -m 0700 "$LAB_PKI"
	(
		cd "$LAB_PKI" || exit
		pki_key ca
		openssl req -x509 -new -key ca.key -out ca.crt -days 365 -subj /CN=sealift-lab-ca
		pki_cert apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$LAB_API,IP:$LAB_SERVICE_IP"
		pki_cert kubelet-client /O=system:masters/CN=apiserver-kubelet DNS:client
		pki_cert admin /O=system:masters/CN=admin DNS:admin
		pki_cert controller-manager /CN=system:kube-controller-manager DNS:controller-manager
		pki_cert scheduler /CN=system:kube-scheduler DNS:scheduler
		pki_cert multus /CN=multus DNS:multus
		local n user
		for n in $(seq "$LAB_MAX_NODE"); do
			pki_cert "w$n" "/O=system:nodes/CN=system:node:w$n" "DNS:w$n,IP:$(node_ip "$n")"
			pki_kubeconfig "w$n"
		done
		for user in admin controller-manager scheduler multus; do pki_kubeconfig "$user"; done
		pki_key service-account
		openssl ec -in service-account.key -pubout -out service-account.pub 2>/dev/null
		ssh-keygen -q -t ed25519 -N '' -C sealift-lab -f ssh
		ssh-keygen -q -t ed25519 -N '' -C sealift-lab-node -f ssh-host
		touch complete
	)
}

pki_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# pki_cert NAME SUBJECT SUBJECT-ALT-NAMES: a key and a certificate of the lab's CA.
pki_cert() {
	pki_key "$1"
	openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" \
		-extfile <(echo "subjectAltName=$3") 2>/dev/null
	rm "$1.csr"
}

pki_kubeconfig() {
	cat >"$1.kubeconfig" <<-K
		apiVersion: v1
		kind: Config
		clusters:
		  - name: sealift-lab
		    cluster: { server: "https://$LAB_API:$LAB_API_PORT", certificate-authority-data: $(base64 -w0 ca.crt) }
		users:
		  - name: $1
		    user: { client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key") }
		contexts:
		  - name: sealift-lab
		    context: { cluster: sealift-lab, user: $1 }
		current-context: sealift-lab
	K
}
