// SPDX-License-Identifier: Apache-2.0
// X.509 certificates (RFC 5280) and requests for them (RFC 2986), which node:crypto can neither make nor read. Keys are
// ECDSA over P-256, signatures are made with SHA-256.
import {
  createHash,
  createPublicKey,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { CertificationRequest } from '@peculiar/asn1-csr';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { agentCertificate } from '../../../crds/src/index.ts';
import { encodePem } from '../../../kube/src/index.ts';

const COMMON_NAME = '2.5.4.3';
/** Bounds what somebody's request makes us read. */
const MAX_REQUEST_BYTES = 16 * 1024;

/** Begin and end, in milliseconds since the epoch. */
export interface Lifetime {
  readonly from: number;
  readonly to: number;
}

/** A signer: the name in its certificate, and its key. */
export interface Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** A self-signed certificate that may sign those of agents, and nothing below them. @returns PEM */
export function signAuthority(signer: Signer, lifetime: Lifetime): string {
  const key = spkiOf(signer.publicKey);
  return certificate(signer, signer.name, key, lifetime, [
    extension(
      id_ce_basicConstraints,
      new BasicConstraints({ cA: true, pathLenConstraint: 0 }),
      true,
    ),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign), true),
    extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(identifierOf(key))),
  ]);
}

interface Subject {
  readonly publicKey: KeyObject;
  readonly dnsName: string;
}

/** A certificate for a client and server of this DNS name. @returns PEM */
export const signAgent = (signer: Signer, subject: Subject, lifetime: Lifetime): string =>
  signLeaf(signer, 'sealift-agent', subject, [id_kp_clientAuth, id_kp_serverAuth], lifetime);

/** A certificate for a server of this DNS name. @returns PEM */
export const signServer = (signer: Signer, subject: Subject, lifetime: Lifetime): string =>
  signLeaf(signer, 'sealift-operator', subject, [id_kp_serverAuth], lifetime);

function signLeaf(
  signer: Signer,
  name: string,
  { publicKey, dnsName }: Subject,
  usages: string[],
  lifetime: Lifetime,
): string {
  const key = spkiOf(publicKey);
  const keyIdentifier = new KeyIdentifier(identifierOf(spkiOf(signer.publicKey)));
  return certificate(signer, name, key, lifetime, [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: false }), true),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
    extension(id_ce_extKeyUsage, new ExtendedKeyUsage(usages)),
    extension(
      id_ce_subjectAltName,
      new SubjectAlternativeName([new GeneralName({ dNSName: dnsName })]),
    ),
    extension(id_ce_authorityKeyIdentifier, new AuthorityKeyIdentifier({ keyIdentifier })),
  ]);
}

/**
 * The public key of a request for a certificate, whose signature shows that the sender has the private key. Nothing else of
 * the request is read.
 * @param pem PKCS #10
 * @throws Error that says what is wrong
 */
export function requestedKey(pem: string): KeyObject {
  const body =
    /^\s*-----BEGIN CERTIFICATE REQUEST-----([\sA-Za-z0-9+/=]+)-----END CERTIFICATE REQUEST-----\s*$/.exec(
      pem,
    )?.[1];
  if (body === undefined || pem.length > MAX_REQUEST_BYTES) throw new Error('it is not in PEM');
  const { certificationRequestInfo, certificationRequestInfoRaw, signatureAlgorithm, signature } =
    AsnConvert.parse(Buffer.from(body, 'base64'), CertificationRequest);
  if (!certificationRequestInfoRaw) throw new Error('it has no body');
  const key = createPublicKey({
    key: Buffer.from(AsnConvert.serialize(certificationRequestInfo.subjectPKInfo)),
    format: 'der',
    type: 'spki',
  });
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error('its key is not of the curve P-256');
  if (signatureAlgorithm.algorithm !== agentCertificate.signatureAlgorithm)
    throw new Error('it is not signed by ECDSA with SHA-256');
  const signed = verify(
    'sha256',
    Buffer.from(certificationRequestInfoRaw),
    key,
    Buffer.from(signature),
  );
  if (!signed) throw new Error('its signature is not by its own key');
  return key;
}

function certificate(
  signer: Signer,
  subject: string,
  key: SubjectPublicKeyInfo,
  { from, to }: Lifetime,
  extensions: Extension[],
): string {
  const signature = new AlgorithmIdentifier({ algorithm: agentCertificate.signatureAlgorithm });
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature,
    issuer: nameOf(signer.name),
    validity: new Validity({ notBefore: new Date(from), notAfter: new Date(to) }),
    subject: nameOf(subject),
    subjectPublicKeyInfo: key,
    extensions: new Extensions(extensions),
  });
  const signatureValue = sign(
    'sha256',
    Buffer.from(AsnConvert.serialize(tbsCertificate)),
    signer.privateKey,
  );
  const der = AsnConvert.serialize(
    new Certificate({
      tbsCertificate,
      signatureAlgorithm: signature,
      signatureValue: bytes(signatureValue),
    }),
  );
  return encodePem('CERTIFICATE', der);
}

function extension(extnID: string, value: object, critical = false): Extension {
  return new Extension({
    extnID,
    critical,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  });
}

function nameOf(commonName: string): Name {
  const value = new AttributeValue({ utf8String: commonName });
  return new Name([
    new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value })]),
  ]);
}

const spkiOf = (key: KeyObject): SubjectPublicKeyInfo =>
  AsnConvert.parse(key.export({ format: 'der', type: 'spki' }), SubjectPublicKeyInfo);

/** RFC 7093, section 2, method 1: the leftmost 160 bits of the SHA-256 of the key. */
const identifierOf = (key: SubjectPublicKeyInfo): ArrayBuffer =>
  bytes(createHash('sha256').update(Buffer.from(key.subjectPublicKey)).digest().subarray(0, 20));

/** A positive number of 127 bits at most. */
function serialNumber(): ArrayBuffer {
  const random = randomBytes(16);
  random[0] = ((random[0] ?? 0) & 0x7f) | 0x40;
  return bytes(random);
}

const bytes = (from: Buffer): ArrayBuffer => new Uint8Array(from).buffer;
