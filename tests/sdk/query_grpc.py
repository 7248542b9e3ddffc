"""Asks tempopb.StreamingQuerier with a client generated from our own .proto files.

Usage: query_grpc.py PROTO_DIR < QUESTIONS
Reads one JSON object a line, {"address", "service", "method", "request", "metadata"}, where request is protobuf JSON,
and answers each with one line: {"code", "details", "messages", "trailers", "largest"}. The services are those of the
protos, and "health" and "reflection" by the libraries' own clients.
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import grpc
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

TIMEOUT = 60


def generate(protos):
    """Makes the client's modules and returns the one with the messages and the one with the stub."""
    out = tempfile.mkdtemp()
    files = sorted(str(path) for path in Path(protos, "tempopb").rglob("*.proto"))
    well_known = Path(importlib.import_module("grpc_tools").__file__).parent / "_proto"
    arguments = ["protoc", f"-I{protos}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(arguments + files) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    return importlib.import_module("tempopb.tempo_pb2"), importlib.import_module("tempopb.tempo_pb2_grpc")


def reflect(channel):
    """The services there are, and the fields of a request as the server describes them."""
    database = ProtoReflectionDescriptorDatabase(channel)
    described = database.FindFileContainingSymbol("tempopb.StreamingQuerier")
    request = next(message for message in described.message_type if message.name == "SearchRequest")
    fields = {field.name: field.number for field in request.field}
    return {"services": sorted(database.get_services()), "SearchRequest": fields}


class Client:
    def __init__(self, protos):
        self.messages, self.stubs = generate(protos)

    def ask(self, question):
        with grpc.insecure_channel(question["address"]) as channel:
            service = question["service"]
            if service == "reflection":
                return {"code": "OK", "messages": [reflect(channel)]}
            if service == "health":
                request = health_pb2.HealthCheckRequest(service=question["request"].get("service", ""))
                call = health_pb2_grpc.HealthStub(channel).Check
                return self.collect(lambda **options: iter_unary(call, request, **options), question)
            method = getattr(self.stubs.StreamingQuerierStub(channel), question["method"])
            return self.collect(lambda **options: method(self.request(question), **options), question)

    def request(self, question):
        """The request message: the type is the method's, found in the service's description."""
        service = self.messages.DESCRIPTOR.services_by_name["StreamingQuerier"]
        name = service.methods_by_name[question["method"]].input_type.name
        return json_format.ParseDict(question["request"], getattr(self.messages, name)())

    def collect(self, call, question):
        metadata = [tuple(pair) for pair in question.get("metadata", [])]
        options = {"metadata": metadata, "timeout": TIMEOUT}
        if question.get("gzip"):
            options["compression"] = grpc.Compression.Gzip
        answer = {"messages": [], "trailers": {}, "largest": 0}
        try:
            stream = call(**options)
            for message in stream:
                answer["largest"] = max(answer["largest"], message.ByteSize())
                answer["messages"].append(json_format.MessageToDict(message))
            if hasattr(stream, "trailing_metadata"):
                answer["trailers"] = {key: value for key, value in stream.trailing_metadata() if isinstance(value, str)}
            return answer | {"code": "OK", "details": ""}
        except grpc.RpcError as error:
            return answer | {"code": error.code().name, "details": error.details()}


def iter_unary(call, request, **options):
    return iter([call(request, **options)])


def main():
    client = Client(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(client.ask(json.loads(line))), flush=True)


main()
