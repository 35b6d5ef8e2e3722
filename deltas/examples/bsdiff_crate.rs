//! Deltas as the crate `bsdiff` makes them, packed with xz: a baseline for the benchmark of deltas.
//!
//! ```text
//! bsdiff_crate make OLD NEW DELTA
//! bsdiff_crate apply OLD DELTA NEW
//! ```

use std::error::Error;
use std::fs;
use std::io::{Read, Write};

use liblzma::read::XzDecoder;
use liblzma::write::XzEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, old, from, to] = arguments.as_slice() else {
        return Err("give a verb and three files".into());
    };
    let (old, from) = (fs::read(old)?, fs::read(from)?);
    let mut made = Vec::new();
    match verb.as_str() {
        "make" => {
            let mut patch = Vec::new();
            bsdiff::diff(&old, &from, &mut patch)?;
            let mut packed = XzEncoder::new(Vec::new(), 9);
            packed.write_all(&patch)?;
            made = packed.finish()?;
        }
        "apply" => {
            let mut patch = Vec::new();
            XzDecoder::new(from.as_slice()).read_to_end(&mut patch)?;
            bsdiff::patch(&old, &mut patch.as_slice(), &mut made)?;
        }
        _ => return Err("the verb is make or apply".into()),
    }
    Ok(fs::write(to, made)?)
}
