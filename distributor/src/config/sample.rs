//! The commented configuration that a new server starts with.

use std::net::SocketAddr;

use super::settings::Limits;

/// The commented configuration that a new server starts with.
#[must_use]
pub fn sample(vendor_url: &str, listen: SocketAddr, addresses: &[String]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
    let (vendor_url, listen, addresses) =
        (quoted(vendor_url), quoted(&listen.to_string()), addresses.join(", "));
    let limits = Limits::default();
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    format!(
        "# The configuration of this Primary Server. Files named distributor.d/*.toml are read after it, in the\n\
         # order of their names; each replaces single keys. Changes count from the next start.\n\
         \n\
         # Where the vendor publishes releases and answers registrations. Plain http is safe here: everything that\n\
         # comes from there is signed by the vendor, and is checked against root.json.\n\
         vendor_url = {vendor_url}\n\
         \n\
         # Where this server listens for agents, and for admins who do not sit at it.\n\
         listen = {listen}\n\
         \n\
         # Names or addresses under which computers reach this server; setup files carry them. The server's\n\
         # certificate was made for these; a new one is needed for others.\n\
         addresses = [{addresses}]\n\
         \n\
         [pull]\n\
         # How often to look for new releases, and a little more or less, so that not all servers come at once.\n\
         every = \"1h\"\n\
         \n\
         [license]\n\
         # How long a computer can stay away before it gets no more updates. Its product runs on all the same.\n\
         lease_days = 30\n\
         \n\
         [limits]\n\
         # max_payload_mib = {}\n\
         # keep_free_mib = {}\n\
         # delta_memory_mib = {}\n\
         # delta_time = \"10m\"\n\
         # max_connections = {}\n\
         # max_connections_per_address = {}\n",
        mebibytes(limits.max_payload_bytes),
        mebibytes(limits.keep_free_bytes),
        mebibytes(limits.delta_memory_bytes),
        limits.max_connections,
        limits.max_connections_per_address,
    )
}
