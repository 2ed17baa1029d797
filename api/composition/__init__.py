"""The composition root: what each process runs on. Only here is known which adapters there are.

A file a process: a worker starts without the web framework, the API without Kafka's client.
"""
