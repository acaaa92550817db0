import ipaddr from 'ipaddr.js';

/** The first 64 bits of an IPv6 address: whoever has one address there has all of them. */
const NETWORK_BYTES = 8;

/** Whom an address stands for where callers are counted: itself, or the network that an IPv6 address is part of. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return ipaddr.fromByteArray(parsed.toByteArray().fill(0, NETWORK_BYTES)).toString();
}

/** An address, or a network of them such as `10.0.0.0/8`; not the network of all. */
export function isAddressOrNetwork(text: string): boolean {
  if (text.includes('/')) return ipaddr.isValidCIDR(text) && ipaddr.parseCIDR(text)[1] > 0;
  return ipaddr.isValid(text) && (text.includes(':') || ipaddr.IPv4.isValidFourPartDecimal(text));
}
