//! The commented configuration that a new server starts with.

use std::net::SocketAddr;

use super::settings::{Limits, Storage};

/// The commented configuration that a new server starts with.
#[must_use]
pub fn sample(vendor_url: &str, vendor_ca: Option<&str>, listen: SocketAddr, addresses: &[String]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
    let (vendor_url, listen, addresses) =
        (quoted(vendor_url), quoted(&listen.to_string()), addresses.join(", "));
    let vendor_ca = vendor_ca.map_or_else(
        || "# vendor_ca = \"/etc/sealpost/vendor-ca.pem\"".to_owned(),
        |path| format!("vendor_ca = {}", quoted(path)),
    );
    let (limits, storage) = (Limits::default(), Storage::default());
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    format!(
        "# The configuration of this Primary Server. Files named distributor.d/*.toml are read after it, in the\n\
         # order of their names; each replaces single keys. `systemctl reload sealpost-distributor` (SIGHUP) reads them\n\
         # again; what counts only from the next start is said then.\n\
         \n\
         # Where the vendor publishes releases and answers registrations. Plain http is enough for releases: all that\n\
         # comes from there is signed by the vendor, and is checked against root.json. A serial number is a secret, and\n\
         # is sent over https, or to this computer: with other plain http, `distributor register` prints a code to\n\
         # exchange by hand.\n\
         vendor_url = {vendor_url}\n\
         # A PEM file with the CA of the vendor's server, if this system does not trust it.\n\
         {vendor_ca}\n\
         \n\
         # Where this server listens for agents, and for admins who do not sit at it. Both sides must use the same\n\
         # port: do not change it unless another program needs it. Computers learn a new one from the server, which\n\
         # serves the old one until they have.\n\
         listen = {listen}\n\
         \n\
         # Names or addresses under which computers reach this server; setup files carry them, and the server's\n\
         # certificate names them.\n\
         addresses = [{addresses}]\n\
         \n\
         [pull]\n\
         # How often to look for new releases, and a little more or less, so that not all servers come at once.\n\
         every = \"1h\"\n\
         # A payload that comes slower than this, on average over a minute, is given up until the next pull.\n\
         # min_kib_per_second = {}\n\
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
         # max_connections_per_address = {}\n\
         \n\
         # Your own certificate, in place of one by the site's own CA: the file has the whole chain, with the CA that\n\
         # computers pin at its end. A changed file is taken by itself.\n\
         # [tls]\n\
         # certificate = \"/etc/sealpost/server-chain.pem\"\n\
         # key = \"/etc/sealpost/server.key\"\n\
         \n\
         [storage]\n\
         # How long payloads stay that no computer needs, and replaced metadata, in days.\n\
         # keep_superseded_days = {}\n\
         # keep_metadata_days = {}\n\
         # Within so many days each stored file is compared with its digest once.\n\
         # scrub_days = {}\n\
         # The ledger's tables are compared with its log after the start and then so often, in hours; 0: never.\n\
         # verify_hours = {}\n\
         # When log/activity.log is rotated, and how many files are kept.\n\
         # log_file_mib = {}\n\
         # log_files = {}\n\
         \n\
         [log]\n\
         # Where each entry of the log is sent besides, as syslog (RFC 5424) with JSON in it: tcp://HOST:PORT,\n\
         # udp://HOST:PORT or unix:/dev/log. It is not encrypted: send it to a relay on this computer or in its network.\n\
         # syslog = \"\"\n\
         \n\
         [folder]\n\
         # A folder or share by which computers without a network are served. Whoever reads it can read the releases there,\n\
         # licensed or not; answers only the computer that they are for.\n\
         # path = \"/srv/share/sealpost\"\n\
         # every = \"1m\"\n\
         # Most MiB of payloads and deltas in it; what computers were told goes first. Without it the disk is the bound.\n\
         # max_mib = 4096\n\
         \n\
         # A program that loads each release of a package on this server before it can be approved: it ends with 0 if the\n\
         # product can read what lies in {{slot}}. Nobody but root and the server's user may be able to change it. Where the\n\
         # server has root's rights, it runs as `user`; otherwise with the server's.\n\
         # [test_load.acme-av-signatures]\n\
         #   command = [\"/usr/local/bin/acme-scan\", \"--check\", \"{{slot}}\"]\n\
         #   time_limit = \"2m\"\n\
         #   memory_mib = 4096\n\
         #   user = \"nobody\"\n",
        limits.min_bytes_per_second / 1024,
        mebibytes(limits.max_payload_bytes),
        mebibytes(limits.keep_free_bytes),
        mebibytes(limits.delta_memory_bytes),
        limits.max_connections,
        limits.max_connections_per_address,
        storage.keep_superseded_days,
        storage.keep_metadata_days,
        storage.scrub_days,
        storage.verify_hours,
        mebibytes(storage.log_file_bytes),
        storage.log_files,
    )
}
