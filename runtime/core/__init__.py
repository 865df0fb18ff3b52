"""The pure heart of the runtime: events in, decision out. No I/O, clock, thread or randomness."""
