"""What a search definition may say: small frozen models, one file a topic."""
