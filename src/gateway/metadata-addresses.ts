/** Cloud metadata services, which return a machine's credentials: refused as upstreams, unlike other private addresses. */
import { BlockList, isIP } from 'node:net'

const refused = new BlockList()
/** Link-local (AWS, Google, Azure, Oracle, ECS tasks), Alibaba, Azure's host; and their IPv6 and NAT64 addresses. */
refused.addSubnet('169.254.0.0', 16, 'ipv4')
refused.addAddress('100.100.100.200', 'ipv4')
refused.addAddress('168.63.129.16', 'ipv4')
refused.addAddress('fd00:ec2::254', 'ipv6')
refused.addAddress('fd00:ec2::23', 'ipv6')
refused.addAddress('fd20:ce::254', 'ipv6')
refused.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6')

const NAMES = /^(metadata|metadata\.goog|metadata\.google\.internal|instance-data|instance-data\.ec2\.internal)$/

/** Checks the resolved address of a connection. */
export function isMetadataAddress(address: string): boolean {
  const version = isIP(address)
  return version !== 0 && refused.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

/** Checks the host in a URL: the name or address of such a service. */
export function isMetadataHost(hostname: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
  return NAMES.test(host) || isMetadataAddress(host)
}
