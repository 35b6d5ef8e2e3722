//! The `distributor` program: a thin door to its library.

fn main() {}
