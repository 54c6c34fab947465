"""Moves customers, from Python: registers them, asks for another address, confirms it, and reads what became of it.

    python move.py --brokers 127.0.0.1:9092 --registry http://127.0.0.1:8081

It uses confluent-kafka as it comes, with the default partitioner of librdkafka. It prints one JSON object, and ends with
exit code 1 if a command got no reply or another one than it should.
"""

import argparse
import json
import sys
import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

COMMANDS, REPLIES = "customer.commands.v1", "customer.replies.v1"
STATE, CHANGES = "customer.state.v1", "customer.changes.v1"


class Commands:
    """Sends commands. Each record type is a subject of its own: customer.commands.v1-utopia.customer.ChangeEmail."""

    def __init__(self, brokers, registry):
        self.producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "enable.metrics.push": False})
        self.registry = registry
        self.serializers = {}
        self.sent = []  # what was stored where

    def send(self, record, customer, **fields):
        """Stores a command and returns its id. The id makes it safe to send the same command again."""
        command = str(uuid.uuid4())
        value = {"customerId": customer, "metadata": {"commandId": command}, **fields}
        context = SerializationContext(COMMANDS, MessageField.VALUE)
        self.producer.produce(
            COMMANDS,
            key=customer.encode(),
            value=self.serializer(record)(value, context),
            on_delivery=self.delivered,
        )
        return command

    def serializer(self, record):
        if record not in self.serializers:
            subject = f"{COMMANDS}-utopia.customer.{record}"
            latest = self.registry.get_latest_version(subject)
            self.serializers[record] = AvroSerializer(
                self.registry,
                latest.schema,
                conf={
                    "auto.register.schemas": False,  # the contract is not ours to change
                    "subject.name.strategy": topic_record_subject_name_strategy,
                },
            )
        return self.serializers[record]

    def delivered(self, error, message):
        if error is not None:
            raise RuntimeError(f"not stored: {error}")
        self.sent.append({"key": message.key().decode(), "partition": message.partition(), "offset": message.offset()})

    def flush(self):
        if self.producer.flush(60):
            raise RuntimeError("the broker does not take the commands")


class Reader:
    """Reads a topic from its beginning and decodes what it finds, in whatever revision it was written."""

    def __init__(self, brokers, registry, topic):
        self.topic = topic
        self.decode = AvroDeserializer(registry) if registry else None
        self.consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": f"python-{uuid.uuid4()}",  # only assigned, never joined
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.metrics.push": False,
            }
        )
        partitions = self.consumer.list_topics(topic, timeout=60).topics[topic].partitions
        self.consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])

    def until(self, done, seconds=60):
        """Yields (message, value) until done() is true."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.topic}: waited {seconds} s")
            message = self.consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                raise RuntimeError(message.error())
            value = message.value()
            if value is not None and self.decode:
                value = self.decode(value, SerializationContext(self.topic, MessageField.VALUE))
            yield message, value

    def close(self):
        self.consumer.close()


def outcomes(replies, commands):
    """Waits for the replies to commands and returns them by command id. A reply comes after the commit, never before."""
    found = {}
    for _, reply in replies.until(lambda: len(found) == len(commands)):
        if reply["commandId"] in commands:
            found[reply["commandId"]] = reply
    return found


def expect(replies, outcome, refusal=""):
    for reply in replies.values():
        if reply["outcome"] != outcome or reply["refusal"] != refusal:
            raise RuntimeError(f"expected {outcome} {refusal}, got {reply['outcome']} {reply['refusal']}: {reply['message']}")


def run(args):
    registry = SchemaRegistryClient({"url": args.registry})
    commands = Commands(args.brokers, registry)
    replies = Reader(args.brokers, registry, REPLIES)
    customers = [f"py-{uuid.uuid4().hex[:12]}" for _ in range(args.customers)]

    sent = {
        commands.send(
            "RegisterCustomer", c, name="Zoë Müller", email=f"{c}@example.org", language="nl",
            address={"country": "NL", "city": "Amsterdam", "postCode": "1012 JS", "street": "Dam 1"},
        )
        for c in customers
    }
    commands.flush()
    expect(outcomes(replies, sent), "accepted")

    changes = {}  # customer: id of the change, which is the id of the command that asked for it
    for c in customers:
        gouda = {"country": "NL", "city": "Gouda", "postCode": "2801 JG", "street": "Markt 1"}
        changes[c] = commands.send("RequestAddressChange", c, address=gouda, reason="moved")
    commands.flush()
    expect(outcomes(replies, set(changes.values())), "accepted")

    # What the link in the mail says, the pending change in the public state says too.
    state = Reader(args.brokers, registry, STATE)
    pending = {}
    for _, value in state.until(lambda: len(pending) == len(customers)):
        change = value and value["pending"]  # a value of None: the customer was erased
        if change and changes.get(value["customerId"]) == change["changeId"]:
            pending[value["customerId"]] = change
    sent = {
        commands.send("ConfirmAddressChange", c, changeId=p["changeId"], expiresAt=p["expiresAt"]) for c, p in pending.items()
    }
    commands.flush()
    confirmed = outcomes(replies, sent)
    expect(confirmed, "accepted")

    nobody = commands.send("CloseCustomer", f"py-nobody-{uuid.uuid4().hex[:12]}")
    commands.flush()
    refused = outcomes(replies, {nobody})[nobody]
    if refused["outcome"] != "refused" or not refused["message"]:
        raise RuntimeError(f"nobody was closed: {refused}")

    versions = {reply["key"]: reply["version"] for reply in confirmed.values()}
    moved = {}
    for _, value in state.until(lambda: len(moved) == len(customers)):
        if value and versions.get(value["customerId"], sys.maxsize) <= value["version"]:
            moved[value["customerId"]] = value
    events = {}
    for _, value in Reader(args.brokers, registry, CHANGES).until(lambda: len(events) == len(customers)):
        # Several record types travel in this topic; only moves and corrections name a change.
        if value["customerId"] in changes and value.get("changeId") == changes[value["customerId"]]:
            events[value["customerId"]] = [value["before"]["address"]["city"], value["after"]["address"]["city"]]

    report = {
        "customers": len(customers),
        "cities": sorted({v["address"]["address"]["city"] for v in moved.values()}),
        "names": sorted({v["name"] for v in moved.values()}),
        "pending": sum(1 for v in moved.values() if v["pending"]),
        "events": sorted({" to ".join(e) for e in events.values()}),
        "refusal": refused["refusal"],
    }
    if args.sent:
        report["sent"] = commands.sent
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--registry", default="http://127.0.0.1:8081")
    parser.add_argument("--customers", type=int, default=12)
    parser.add_argument("--sent", action="store_true", help="also print where each command was stored")
    args = parser.parse_args()
    try:
        json.dump(run(args), sys.stdout, indent=1, ensure_ascii=False)
        print()
    except (RuntimeError, TimeoutError) as problem:
        sys.exit(f"move.py: {problem}")


if __name__ == "__main__":
    main()
