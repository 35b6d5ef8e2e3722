//! The fragments merged: for each key the last value that was given, and the file that gave it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fragments::Fragment;
use super::test_load::TestLoadFragment;

/// A value, and the file that gave it.
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) file: PathBuf,
}

#[derive(Default)]
pub(super) struct Merged {
    pub(super) vendor_url: Option<Given<String>>,
    pub(super) vendor_ca: Option<Given<PathBuf>>,
    pub(super) listen: Option<Given<String>>,
    pub(super) addresses: Option<Given<Vec<String>>>,
    pub(super) pull_every: Option<Given<String>>,
    pub(super) lease_days: Option<Given<u32>>,
    pub(super) max_payload_mib: Option<Given<u32>>,
    pub(super) keep_free_mib: Option<Given<u32>>,
    pub(super) delta_memory_mib: Option<Given<u32>>,
    pub(super) delta_time: Option<Given<String>>,
    pub(super) max_connections: Option<Given<u32>>,
    pub(super) max_connections_per_address: Option<Given<u32>>,
    pub(super) min_kib_per_second: Option<Given<u32>>,
    pub(super) tls_certificate: Option<Given<PathBuf>>,
    pub(super) tls_key: Option<Given<PathBuf>>,
    pub(super) keep_superseded_days: Option<Given<u32>>,
    pub(super) keep_metadata_days: Option<Given<u32>>,
    pub(super) scrub_days: Option<Given<u32>>,
    pub(super) verify_hours: Option<Given<u32>>,
    pub(super) log_file_mib: Option<Given<u32>>,
    pub(super) log_files: Option<Given<u32>>,
    pub(super) syslog: Option<Given<String>>,
    pub(super) folder_path: Option<Given<PathBuf>>,
    pub(super) folder_every: Option<Given<String>>,
    pub(super) folder_max_mib: Option<Given<u32>>,
    pub(super) test_loads: BTreeMap<String, Given<TestLoadFragment>>,
}

impl Merged {
    /// Adds a fragment; it replaces the values of earlier ones.
    pub(super) fn take(&mut self, fragment: Fragment, file: &Path) {
        put(&mut self.vendor_url, fragment.vendor_url, file);
        put(&mut self.vendor_ca, fragment.vendor_ca, file);
        put(&mut self.listen, fragment.listen, file);
        put(&mut self.addresses, fragment.addresses, file);
        put(&mut self.pull_every, fragment.pull.every, file);
        put(&mut self.lease_days, fragment.license.lease_days, file);
        put(&mut self.max_payload_mib, fragment.limits.max_payload_mib, file);
        put(&mut self.keep_free_mib, fragment.limits.keep_free_mib, file);
        put(&mut self.delta_memory_mib, fragment.limits.delta_memory_mib, file);
        put(&mut self.delta_time, fragment.limits.delta_time, file);
        put(&mut self.max_connections, fragment.limits.max_connections, file);
        put(&mut self.max_connections_per_address, fragment.limits.max_connections_per_address, file);
        put(&mut self.min_kib_per_second, fragment.pull.min_kib_per_second, file);
        put(&mut self.tls_certificate, fragment.tls.certificate, file);
        put(&mut self.tls_key, fragment.tls.key, file);
        put(&mut self.keep_superseded_days, fragment.storage.keep_superseded_days, file);
        put(&mut self.keep_metadata_days, fragment.storage.keep_metadata_days, file);
        put(&mut self.scrub_days, fragment.storage.scrub_days, file);
        put(&mut self.verify_hours, fragment.storage.verify_hours, file);
        put(&mut self.log_file_mib, fragment.storage.log_file_mib, file);
        put(&mut self.log_files, fragment.storage.log_files, file);
        put(&mut self.syslog, fragment.log.syslog, file);
        put(&mut self.folder_path, fragment.folder.path, file);
        put(&mut self.folder_every, fragment.folder.every, file);
        put(&mut self.folder_max_mib, fragment.folder.max_mib, file);
        for (package, value) in fragment.test_load {
            self.test_loads.insert(package, Given { value, file: file.to_owned() });
        }
    }
}

fn put<T>(place: &mut Option<Given<T>>, value: Option<T>, file: &Path) {
    if let Some(value) = value {
        *place = Some(Given { value, file: file.to_owned() });
    }
}
