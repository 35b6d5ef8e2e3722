//! The `agent-updater` program: a thin door to its library.

fn main() {}
