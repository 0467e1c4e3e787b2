//! From segment payloads to whole messages.
