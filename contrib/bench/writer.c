/* The same records as writer.rs, written with libxml2's xmlTextWriter. Usage: writer RECORDS FILE */
#include <inttypes.h>
#include <libxml/xmlwriter.h>
#include <stdio.h>
#include <stdlib.h>

#define X(text) ((const xmlChar *)(text))

static xmlTextWriterPtr out;

/* Each call of the library ends here: a failure must not pass as a fast run. */
static void must(int result)
{
    if (result < 0) {
        fputs("libxml2 cannot write\n", stderr);
        exit(1);
    }
}

static void text(const char *name, const char *value)
{
    must(xmlTextWriterWriteElement(out, X(name), X(value)));
    must(xmlTextWriterWriteRaw(out, X("\n")));
}

static void number(const char *name, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    text(name, digits);
}

static void record(uint32_t index)
{
    char buffer[64];
    uint64_t n = index;

    must(xmlTextWriterStartElement(out, X("IPDR")));
    must(xmlTextWriterWriteAttribute(out, X("xsi:type"), X("InterfaceUsage-Type")));
    must(xmlTextWriterWriteRaw(out, X("\n")));
    text("IPDRcreationTime", "2026-01-15T09:30:00Z");
    text("sourceName", "linux");
    text("hostName", "router1.example.net");
    number("ifIndex", n);
    snprintf(buffer, sizeof buffer, "ge-0/0/%" PRIu32, index);
    text("ifName", buffer);
    snprintf(buffer, sizeof buffer, "customer %" PRIu32 " <A&B>", index);
    text("ifAlias", buffer);
    snprintf(buffer, sizeof buffer, "00-00-5E-%02X-%02X-%02X", (unsigned)(index >> 16 & 255),
             (unsigned)(index >> 8 & 255), (unsigned)(index & 255));
    text("ifPhysAddress", buffer);
    text("ifAdminStatus", "up");
    text("ifOperStatus", index % 2 ? "down" : "up");
    number("inOctets", n * 1000003 + UINT64_C(7340032118));
    number("outOctets", n * 500009 + 411041792);
    number("inPkts", n * 1009 + 6120044);
    number("outPkts", n * 503 + 2210551);
    number("inErrors", n % 7);
    number("outErrors", n % 5);
    number("inDiscards", n % 11);
    number("outDiscards", 0);
    text("discontinuity", "none");
    must(xmlTextWriterEndElement(out));
    must(xmlTextWriterWriteRaw(out, X("\n")));
}

int main(int argc, char **argv)
{
    static const char *const attributes[][2] = {
        {"xmlns", "http://www.ipdr.org/namespaces/ipdr"},
        {"xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"},
        {"xsi:schemaLocation", "DOCSIS-3.1-B.0.xsd"},
        {"docId", "ED133218-0000-0000-002A-00005E005310"},
        {"creationTime", "2026-01-15T09:30:00Z"},
        {"IPDRRecorderInfo", "recorder1"},
        {"version", "3.1"},
    };
    uint32_t count, index;
    size_t attribute;

    if (argc != 3) {
        fputs("usage: writer RECORDS FILE\n", stderr);
        return 64;
    }
    count = (uint32_t)strtoul(argv[1], NULL, 10);
    out = xmlNewTextWriterFilename(argv[2], 0);
    if (out == NULL)
        return 73;
    must(xmlTextWriterStartDocument(out, NULL, "UTF-8", NULL));
    must(xmlTextWriterStartElement(out, X("IPDRDoc")));
    for (attribute = 0; attribute < sizeof attributes / sizeof *attributes; attribute++)
        must(xmlTextWriterWriteAttribute(out, X(attributes[attribute][0]), X(attributes[attribute][1])));
    must(xmlTextWriterWriteRaw(out, X("\n")));
    for (index = 0; index < count; index++)
        record(index);
    must(xmlTextWriterStartElement(out, X("IPDRDoc.End")));
    must(xmlTextWriterWriteFormatAttribute(out, X("count"), "%" PRIu32, count));
    must(xmlTextWriterWriteAttribute(out, X("endTime"), X("2026-01-15T09:30:00Z")));
    must(xmlTextWriterEndElement(out));
    must(xmlTextWriterWriteRaw(out, X("\n")));
    must(xmlTextWriterEndDocument(out));
    xmlFreeTextWriter(out);
    return 0;
}
