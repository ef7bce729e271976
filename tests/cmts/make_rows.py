"""Writes the SNMP objects of an invented CMTS, and beside them what its usage is: `make_rows.py ROWS USAGE ...`.

ROWS has `OID|TAG|VALUE` lines for rows.py. USAGE has a line for each record that is due, with TABs between: RecType, MAC,
SFID, direction, octets, packets, drops, delays, created (ticks), active (seconds), class. Both come from the same flows, USAGE
without any MIB between. The same arguments give the same files, and another --uptime is another poll of the same CMTS.

Modem number 2 is one of DOCSIS 1.0, the last one is offline, the others have two to four flows that live. The first
--ended modems had one more: a third of those flows ended before 600,000 s, a third in the 900 s after that, a third in the 900 s
that follow.
"""
import argparse
import random

MIB2, CLAB = "1.3.6.1.2.1", "1.3.6.1.4.1.4491.2.1"
CABLE = MIB2 + ".10.127"
WIDE_OF_SIDS = "1.3.6.1.4.1.9.9.116.1.1.3.1"
FIRST = 600_000
DOMAIN, DOWN, UP = 0x20000002, 990728, 721433

# Root; column of the class name in the parameter set; first of the columns SID, direction, primary; how the index of a
# parameter set is ordered; where the log has direction, primary, class, drops, delays, control.
FAMILIES = {
    "ietf": (MIB2 + ".127.1", 1, 2, "{domain}.{sfid}.1", range(10, 16)),
    "qos3": (CLAB + ".21.1", 4, 6, "{domain}.1.{sfid}", range(11, 17)),
}


class Cmts:
    def __init__(self, family, uptime):
        self.root, self.class_column, self.sid_column, self.set_index, self.log_tail = FAMILIES[family]
        self.family, self.uptime = family, uptime
        self.objects, self.usage = {}, []

    def row(self, entry, index, cells):
        for column, (tag, value) in cells.items():
            self.objects[f"{entry}.{column}.{index}"] = (tag, value)

    def due(self, kind, mac, sfid, up, octets, packets, drops, delays, created, active, name):
        shown = "-".join(mac[at:at + 2] for at in range(0, 12, 2))
        self.usage.append((kind, shown, sfid, 2 if up else 1, octets, packets, drops, delays, created, active, name))


def number(value):
    return "2", value


def unsigned(value):
    return "66", value


def narrow(value):
    return "65", value % 2**32


def wide(value):
    return "70", value


def ticks(seconds):
    return "67", seconds * 100 % 2**32


def text(value):
    return "4", value


def octets_of(digits):
    return "4x", digits


def system(cmts):
    now = cmts.uptime
    cmts.row(MIB2 + ".1", 0, {3: ticks(now), 5: text("cmts1.example.net")})
    interfaces = (DOMAIN, 127, "Cable1/0"), (DOWN, 128, "Ca1/0-downstream0"), (UP, 205, "Ca1/0-upstream0")
    for index, kind, name in interfaces:
        cmts.row(MIB2 + ".2.2.1", index, {2: text(name), 3: number(kind)})
        cmts.row(MIB2 + ".31.1.1.1", index, {1: text(name), 18: text(""), 19: ticks(0)})
    cmts.row(CLAB + ".20.1.22.1", f"{DOMAIN}.260", {2: octets_of("0102")})
    cmts.row(CLAB + ".20.1.23.1", f"{DOMAIN}.300", {2: octets_of("0304")})


def modem(cmts, n, modems, ended, chance):
    now, mac = cmts.uptime, f"02005E{n:06X}"
    dotted = ".".join(str(octet) for octet in bytes.fromhex(mac))
    is_old, is_offline = n == 2, n == modems - 1
    born = chance.randrange(2000, 9000)
    rates = {True: chance.randrange(500, 9000), False: chance.randrange(20_000, 300_000)}
    status, registration, sid = 5_505_026 + n, 1 + n, 8193 + n
    address, behind = f"0A01{n + 1:04X}", f"0A80{n + 1:04X}"
    qos = 1 if is_old else 2
    shown = "0.0.0.0" if is_offline else ".".join(str(octet) for octet in bytes.fromhex(address))
    cmts.row(CABLE + ".1.3.3.1", status, {
        2: octets_of(mac), 3: ("64", shown), 4: number(DOWN), 5: number(UP), 9: number(1 if is_offline else 6),
        18: number(qos), 19: number(qos), 20: number(0 if is_offline else 1),
        21: octets_of("" if is_offline else address), 22: ticks(born)})
    cmts.row(CABLE + ".1.3.7.1", dotted, {2: number(status)})
    cmts.row(CLAB + ".20.1.3.1", registration, {
        2: octets_of(mac), 3: octets_of("0" * 32), 4: octets_of("0" * 32), 5: octets_of("0" * 8 if is_offline else address),
        6: number(1 if is_offline else 8), 7: number(DOMAIN), 11: unsigned(300), 12: unsigned(260), 13: number(qos)})
    if is_offline:
        return
    cmts.row(MIB2 + ".125.1.5.1", f"{status}.1", {2: number(1), 3: octets_of(behind), 4: number(1)})
    cmts.row(CLAB + ".10.1.3.1", f"{registration}.1", {
        2: number(1), 3: octets_of(behind), 4: unsigned(32), 5: number(1), 6: number(1)})
    passed = {up: rate * (now - born) for up, rate in rates.items()}
    packets = {up: passed[up] // (200 if up else 900) for up in rates}
    cmts.row(CABLE + ".1.3.4.1", f"{DOMAIN}.{sid}", {
        3: number(1), 4: number(1 if is_old else 0), 5: ticks(born), 6: narrow(passed[True]), 7: narrow(packets[True]),
        8: number(status)})
    cmts.row(WIDE_OF_SIDS, f"{DOMAIN}.{sid}", {
        5: wide(passed[True]), 6: wide(packets[True]), 7: wide(passed[False]), 8: wide(packets[False])})
    if is_old:
        for up in rates:
            cmts.due(1, mac, sid, up, passed[up], packets[up], 0, 0, born * 100, now - born, "")
        return
    live = 2 + n % 3
    for j in range(live + (1 if n < ended else 0)):
        end = FIRST + (-900, 450, 1350)[n % 3] + n // 3 % 400 if j == live else None
        begin = born if j < 2 else born + chance.randrange(100, 50_000)
        flow(cmts, mac, dotted, 1001 + n * 8 + j, 500 + n, j % 2 == 0, j < 2, begin, end, rates)


def flow(cmts, mac, dotted, sfid, log, up, is_primary, begin, end, rates):
    is_gone = end is not None and end <= cmts.uptime
    seconds = (end if is_gone else cmts.uptime) - begin
    octets = rates[up] * seconds
    packets = octets // (200 if up else 900)
    drops, delays = (0, 0) if up else (seconds // 5000, seconds // 900)
    name = ("Voice", "Bronze")[is_primary] + ("DS", "US")[up]
    direction, primary = 2 if up else 1, 1 if is_primary else 2
    values = octets, packets, drops, delays, begin * 100, seconds, name
    cmts.due(2 if is_gone else 1, mac, sfid, up, *values)
    if is_gone:
        cells = {2: number(DOMAIN), 3: unsigned(sfid), 4: octets_of(mac), 5: wide(packets), 6: wide(octets),
                 7: ticks(end), 8: ticks(begin), 9: narrow(seconds)}
        tail = number(direction), number(primary), text(name), narrow(drops), narrow(delays), number(1)
        cmts.row(cmts.root + ".7.1", log, cells | dict(zip(cmts.log_tail, tail)))
        return
    index = f"{DOMAIN}.{sfid}"
    cmts.row(cmts.root + ".2.1", cmts.set_index.format(domain=DOMAIN, sfid=sfid), {cmts.class_column: text(name)})
    sid = cmts.sid_column
    cmts.row(cmts.root + ".3.1", index, {sid: unsigned(1), sid + 1: number(direction), sid + 2: number(primary)})
    if cmts.family == "qos3":
        cmts.row(cmts.root + ".3.1", index, {10: unsigned(260 if up else 300), 12: unsigned(0)})
    cmts.row(cmts.root + ".4.1", index, {
        1: wide(packets), 2: wide(octets), 3: ticks(begin), 4: narrow(seconds), 5: narrow(0), 6: narrow(drops),
        7: narrow(delays)})
    cmts.row(cmts.root + ".11.1", f"{dotted}.{sfid}", {3: number(DOMAIN)})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("rows")
    arguments.add_argument("usage")
    arguments.add_argument("--modems", type=int, default=1000)
    arguments.add_argument("--ended", type=int, default=60)
    arguments.add_argument("--uptime", type=int, default=FIRST)
    arguments.add_argument("--family", choices=FAMILIES, default="qos3")
    given = arguments.parse_args()
    cmts = Cmts(given.family, given.uptime)
    system(cmts)
    for n in range(given.modems):
        modem(cmts, n, given.modems, given.ended, random.Random(n))
    in_order = sorted(cmts.objects, key=lambda oid: [int(part) for part in oid.split(".")])
    with open(given.rows, "w") as out:
        out.writelines("%s|%s|%s\n" % (oid, *cmts.objects[oid]) for oid in in_order)
    with open(given.usage, "w") as out:
        out.writelines("\t".join(map(str, line)) + "\n" for line in cmts.usage)


main()
