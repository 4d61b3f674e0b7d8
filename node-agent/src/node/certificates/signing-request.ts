// SPDX-License-Identifier: Apache-2.0
// A key and a request for its certificate (PKCS #10, RFC 2986), which node:crypto cannot make. The operator takes nothing but
// the key from it: whom the certificate is for, the agent's token says.
import { generateKeyPairSync, sign } from 'node:crypto';
import { Attributes, CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, Name, SubjectPublicKeyInfo } from '@peculiar/asn1-x509';
import { agentCertificate } from '../../../../crds/src/index.ts';
import { encodePem } from '../../../../kube/src/index.ts';

/** Both in PEM. The key is ECDSA over P-256. */
export interface SigningRequest {
  readonly key: string;
  readonly request: string;
}

export function makeSigningRequest(): SigningRequest {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificationRequestInfo = new CertificationRequestInfo({
    subject: new Name(),
    subjectPKInfo: AsnConvert.parse(
      publicKey.export({ format: 'der', type: 'spki' }),
      SubjectPublicKeyInfo,
    ),
    attributes: new Attributes(),
  });
  const info = Buffer.from(AsnConvert.serialize(certificationRequestInfo));
  const signature = new Uint8Array(sign('sha256', info, privateKey)).buffer;
  const der = AsnConvert.serialize(
    new CertificationRequest({
      certificationRequestInfo,
      signatureAlgorithm: new AlgorithmIdentifier({
        algorithm: agentCertificate.signatureAlgorithm,
      }),
      signature,
    }),
  );
  return {
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    request: encodePem('CERTIFICATE REQUEST', der),
  };
}
