#![cfg_attr(fuzzing, no_main)]
sealpost_fuzz::program!("registration_forms");
