//! The benchmark program; what it does is in the library.
use clap::Parser as _;
use sealpost_bench::Options;

fn main() -> anyhow::Result<()> {
    sealpost_bench::run(&Options::parse())
}
