/** Where clouds give a machine its credentials: never an upstream, even though private addresses are. */
import { BlockList, isIP } from 'node:net'

const refused = new BlockList()
/** Link-local (AWS, Google, Azure, Oracle, ECS tasks), Alibaba, Azure's host; and the same written as IPv6 and NAT64. */
refused.addSubnet('169.254.0.0', 16, 'ipv4')
refused.addAddress('100.100.100.200', 'ipv4')
refused.addAddress('168.63.129.16', 'ipv4')
refused.addAddress('fd00:ec2::254', 'ipv6')
refused.addAddress('fd00:ec2::23', 'ipv6')
refused.addAddress('fd20:ce::254', 'ipv6')
refused.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6')

const NAMES = /^(metadata|metadata\.goog|metadata\.google\.internal|instance-data|instance-data\.ec2\.internal)$/

/** For the address that a connection is about to be made to. */
export function isMetadataAddress(address: string): boolean {
  const version = isIP(address)
  return version !== 0 && refused.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

/** For the host of a URL as it is written: a name of such a service, or its address. */
export function isMetadataHost(hostname: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
  return NAMES.test(host) || isMetadataAddress(host)
}
