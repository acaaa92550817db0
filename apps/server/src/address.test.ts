import { expect, test } from 'vitest';
import { isAddressOrNetwork, networkOf } from './address.ts';

test.for([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
  ['2001:db8::1', '2001:db8::'],
  ['not an: address', 'not an: address'],
] as const)('%s is counted as %s', ([address, network]) => {
  expect(networkOf(address)).toBe(network);
});

test('an address or a network is told from what is none, and from the network of all', () => {
  const good = ['127.0.0.1', '::1', '10.0.0.0/8', 'fd00::/8', '192.0.2.1/32'];
  const bad = ['', '*', '10', '10.0.0', '10.0.0.0/33', '10.0.0.0/0', '::/0', 'proxy.internal', '10.0.0.1/', 'loopback'];
  expect([...good, ...bad].filter(isAddressOrNetwork)).toEqual(good);
});
