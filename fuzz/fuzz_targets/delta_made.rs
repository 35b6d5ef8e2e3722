#![cfg_attr(fuzzing, no_main)]
sealpost_fuzz::program!("delta_made");
