#!/usr/bin/python3
"""tests/peers/zeep-replies.py SCHEMAS: AXL replies as an independent SOAP library builds them from Cisco's WSDL.

SCHEMAS is the directory that tests/peers/fetch unpacks. Prints one JSON array: version, operation, the envelope as
text, and the values that a reader must find in it. The envelopes are made by zeep from the output types of the WSDL;
executeSQLQuery's rows, which the schema leaves open, are put into the element that zeep made.
"""

import json
import sys
from pathlib import Path

from lxml import etree
from zeep import Client, Settings
from zeep.wsdl.utils import etree_to_string

VERSIONS = ["11.5", "12.5", "14.0", "15.0"]
XSI = "{http://www.w3.org/2001/XMLSchema-instance}nil"
TEXTS = [
    "Enhanced",
    "R&D <Atrium>",
    "Café Nord: planning, weekly",
    "two\nlines",
    "  blanks around  ",
    "\"quoted\" 'twice'",
    "]]> and \U0001f4de",
    "x" * 5000,
]


class Version:
    def __init__(self, schemas, version):
        self.version = version
        wsdl = Path(schemas, version, "AXLAPI.wsdl").resolve().as_uri()
        self.client = Client(wsdl, settings=Settings(strict=False, xml_huge_tree=True))
        self.binding = self.client.wsdl.bindings["{http://www.cisco.com/AXLAPIService/}AXLAPIBinding"]
        self.cases = []

    def case(self, operation, expected, rows=None, **values):
        """`rows`: the content of the return element, where the schema leaves it open."""
        output = self.binding.get(operation).output
        envelope = output.serialize(**values).content
        if rows is not None:
            put_rows(envelope, rows)
        text = etree_to_string(envelope).decode()
        self.cases.append({"version": self.version, "operation": operation, "envelope": text, "expected": expected})


def put_rows(envelope, rows):
    returned = envelope.find(".//return")
    for child in list(returned):
        returned.remove(child)
    for row in rows:
        element = etree.SubElement(returned, "row")
        for name, value in row:
            column = etree.SubElement(element, name)
            if value is None:
                column.set(XSI, "true")
            else:
                column.text = value


def ccm_version(api):
    for text in ["14.0.1.12900(7)", "15.0.1.11900-23", " 12.5.1.14900(63) "]:
        api.case("getCCMVersion", text, **{"return": {"componentVersion": {"version": text}}})


def sql(api):
    for rows in [
        [],
        [[("name", "Enhanced"), ("value", "410")]],
        [[("name", text), ("value", str(number)), ("uservalue", None)] for number, text in enumerate(TEXTS)],
        [[("model", f"Model {number}"), ("n", str(number))] for number in range(300)],
    ]:
        expected = [[[name, value] for name, value in row] for row in rows]
        api.case("executeSQLQuery", expected, rows=rows, **{"return": {"row": []}})


def num_devices(api):
    for count in [0, 1, 525, 18446744073709551615]:
        api.case("getNumDevices", count, **{"return": count, "class": "Phone"})


def licensed_users(api):
    fields = ["userId", "firstName", "lastName", "snrEnabled", "deviceCount", "licenseType", "licenseUsed"]
    if api.version != "11.5":
        fields.insert(4, "emEnabled")
    users = []
    for number, text in enumerate(TEXTS):
        values = [text[:50], "Demo", None if number % 2 else "User", "true", str(number), "Enhanced", "1"]
        if api.version != "11.5":
            values.insert(4, "f")
        users.append(dict(zip(fields, values)))
    for some in [[], users[:1], users]:
        # Without a value zeep leaves the element out, or writes it as nil.
        expected = [{name: value for name, value in user.items() if value is not None} for user in some]
        api.case("listLicensedUser", expected, **{"return": {"licensedUser": some}})


def smart_licenses(api):
    if api.version == "11.5":
        return
    registration = {"Status": "REGISTERED", "SmartAccount": "Demo & Sons", "ProductUDI": "PID:UCM,SN:DEMO0001"}
    authorization = {"Status": "AUTHORIZED", "EvaluationPeriodRemaining": "0"}
    entitlements = [
        {"Tag": "regid.2016-07.com.cisco.UCM_Enhanced,12.0_0000", "Count": 410, "Status": "InCompliance"},
        {"Tag": "regid.2016-07.com.cisco.UCM_Basic,12.0_0001", "Count": 0, "Status": "Caf\u00e9"},
    ]
    for some in [entitlements, entitlements[:1]]:
        details = {
            "SmartLicensing": "ENABLED",
            "Registration": registration,
            "Authorization": authorization,
            "LicenseStatus": {"Entitlement": some},
        }
        expected = {
            "SmartLicensing": "ENABLED",
            "Registration": registration,
            "Authorization": authorization,
            "entitlements": some,
        }
        api.case("getSmartLicenseStatus", expected, **{"return": "Success", "LicenseDetails": details})


def main():
    schemas = sys.argv[1]
    cases = []
    for version in VERSIONS:
        api = Version(schemas, version)
        for make in [ccm_version, sql, num_devices, licensed_users, smart_licenses]:
            make(api)
        cases.extend(api.cases)
    json.dump(cases, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
