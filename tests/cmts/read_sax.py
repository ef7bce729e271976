"""Reads a document with Python's xml.sax and prints `MAC octets` for each modem, of flows that are active."""
import sys
import xml.sax


class Sums(xml.sax.ContentHandler):
    def __init__(self):
        super().__init__()
        self.text, self.fields, self.records, self.counted, self.sums = "", {}, 0, None, {}

    def startElement(self, name, attributes):
        self.text = ""
        if name == "IPDR":
            self.fields = {}
        elif name == "IPDRDoc.End":
            self.counted = int(attributes["count"])

    def characters(self, content):
        self.text += content

    def endElement(self, name):
        self.fields[name] = self.text.strip()
        if name == "IPDR":
            self.records += 1
            if self.fields["RecType"] == "1":
                mac = self.fields["CMmacAddress"]
                self.sums[mac] = self.sums.get(mac, 0) + int(self.fields["serviceOctetsPassed"])


handler = Sums()
xml.sax.parse(sys.argv[1], handler)
if handler.records != handler.counted:
    sys.exit(f"{handler.records} records, and the end counts {handler.counted}")
for mac, octets in sorted(handler.sums.items()):
    print(mac, octets)
