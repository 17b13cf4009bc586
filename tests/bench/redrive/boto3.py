# The loop that people write: receive ten, send them, delete them. Prints what it moved and the processor time it took.
import json
import sys
import time

import boto3

endpoint, source, dead, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
moved, began, used = 0, time.monotonic(), time.process_time()
while moved < count:
    received = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    messages = received.get("Messages", [])
    if not messages:
        break
    entries = [{"Id": str(n), "MessageBody": message["Body"]} for n, message in enumerate(messages)]
    sqs.send_message_batch(QueueUrl=source, Entries=entries)
    entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
    sqs.delete_message_batch(QueueUrl=dead, Entries=entries)
    moved += len(messages)
print(json.dumps({"messages": moved, "seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - used}))
