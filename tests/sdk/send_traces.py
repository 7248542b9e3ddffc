"""Sends one known trace per transport with the official OpenTelemetry SDK and prints their ids.

Usage: send_traces.py OTLP_HTTP_ADDRESS OTLP_GRPC_ADDRESS
Prints one line per trace: NAME TRACE_ID ROOT_SPAN_ID
"""

import sys

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

LINKED = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0x00F067AA0BA902B7, True, TraceFlags(1))


class Checked(SpanExporter):
    """Remembers whether every export succeeded."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.results = []

    def export(self, spans):
        self.results.append(self.exporter.export(spans))
        return self.results[-1]

    def shutdown(self):
        self.exporter.shutdown()

    def force_flush(self, timeout_millis=30000):
        return self.exporter.force_flush(timeout_millis)


def send(name, exporter):
    checked = Checked(exporter)
    resource = Resource.create({"service.name": f"sdk-{name}", "deployment.replicas": 3})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(checked))
    shop = provider.get_tracer("shop", "1.2.3")
    store = provider.get_tracer("store", "4.5.6", attributes={"store.engine": "mem"})
    attributes = {
        "text": "größe 🎻",
        "count": 200,
        "negative": -(2**63),
        "ratio": 0.1,
        "flag": True,
        "texts": ["a", "b"],
        "numbers": [1, 2, 3],
        "empty": "",
    }
    link = Link(LINKED, {"why": "retry"})
    with shop.start_as_current_span("buy", kind=SpanKind.SERVER, attributes=attributes, links=[link]) as root:
        root.add_event("checked", {"items": 7}, timestamp=root.start_time + 1000)
        with store.start_as_current_span("read", kind=SpanKind.CLIENT) as child:
            child.set_status(Status(StatusCode.ERROR, "no such row"))
        root.set_status(Status(StatusCode.OK))
        context = root.get_span_context()
    provider.shutdown()
    if checked.results != [SpanExportResult.SUCCESS]:
        sys.exit(f"{name}: exports ended with {checked.results}")
    print(name, trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))


def main():
    http, grpc_address = sys.argv[1:]
    url = f"http://{http}/v1/traces"
    send("http", HttpExporter(endpoint=url))
    send("http-gzip", HttpExporter(endpoint=url, compression=Compression.Gzip))
    send("http-deflate", HttpExporter(endpoint=url, compression=Compression.Deflate))
    send("grpc", GrpcExporter(endpoint=grpc_address, insecure=True))
    send("grpc-gzip", GrpcExporter(endpoint=grpc_address, insecure=True, compression=grpc.Compression.Gzip))


main()
