//! One test per case.

use crate::broken_out::{
    End, assert_all_with_a_network, assert_refused, assert_refused_when_locked,
    assert_refused_with_a_network,
};

#[test]
fn open_outside_the_mounts_is_refused() {
    assert_refused("open_outside_the_mounts_is_refused");
}

#[test]
fn open_of_other_code_is_refused() {
    assert_refused("open_of_other_code_is_refused");
}

#[test]
fn open_by_handle_is_refused() {
    assert_refused("open_by_handle_is_refused");
}

#[test]
fn path_descriptor_outside_the_mounts_is_refused() {
    assert_refused("path_descriptor_outside_the_mounts_is_refused");
}

#[test]
fn stat_outside_the_mounts_is_refused() {
    assert_refused("stat_outside_the_mounts_is_refused");
}

#[test]
fn readlink_outside_the_mounts_is_refused() {
    assert_refused("readlink_outside_the_mounts_is_refused");
}

#[test]
fn chdir_outside_the_mounts_is_refused() {
    assert_refused("chdir_outside_the_mounts_is_refused");
}

#[test]
fn chmod_outside_the_mounts_is_refused() {
    assert_refused("chmod_outside_the_mounts_is_refused");
}

#[test]
fn chown_outside_the_mounts_is_refused() {
    assert_refused("chown_outside_the_mounts_is_refused");
}

#[test]
fn utime_outside_the_mounts_is_refused() {
    assert_refused("utime_outside_the_mounts_is_refused");
}

#[test]
fn setxattr_outside_the_mounts_is_refused() {
    assert_refused("setxattr_outside_the_mounts_is_refused");
}

#[test]
fn change_outside_the_mounts_is_refused() {
    assert_refused("change_outside_the_mounts_is_refused");
}

#[test]
fn change_of_other_code_is_refused() {
    assert_refused("change_of_other_code_is_refused");
}

#[test]
fn change_of_a_read_only_mount_is_refused() {
    assert_refused("change_of_a_read_only_mount_is_refused");
}

#[test]
fn mode_and_owner_in_a_mount_are_refused() {
    assert_refused("mode_and_owner_in_a_mount_are_refused");
}

#[test]
fn device_in_a_mount_is_refused() {
    assert_refused("device_in_a_mount_is_refused");
}

#[test]
fn watch_of_files_is_refused() {
    assert_refused("watch_of_files_is_refused");
}

#[test]
fn escape_by_symlink_is_refused() {
    assert_refused("escape_by_symlink_is_refused");
}

#[test]
fn escape_by_hard_link_is_refused() {
    assert_refused("escape_by_hard_link_is_refused");
}

#[test]
fn escape_by_dot_dot_is_refused() {
    assert_refused("escape_by_dot_dot_is_refused");
}

#[test]
fn escape_by_proc_is_refused() {
    assert_refused("escape_by_proc_is_refused");
}

#[test]
fn escape_by_a_kept_directory_is_refused() {
    assert_refused("escape_by_a_kept_directory_is_refused");
}

#[test]
fn escape_by_a_handed_directory_is_refused() {
    assert_refused("escape_by_a_handed_directory_is_refused");
}

#[test]
fn escape_by_another_root_is_refused() {
    assert_refused("escape_by_another_root_is_refused");
}

#[test]
fn program_with_a_setuid_bit_is_refused() {
    assert_refused("program_with_a_setuid_bit_is_refused");
}

#[test]
fn setuid_bit_on_a_file_with_content_is_refused() {
    assert_refused("setuid_bit_on_a_file_with_content_is_refused");
}

#[test]
fn read_of_another_process_is_refused() {
    assert_refused("read_of_another_process_is_refused");
}

#[test]
fn write_to_another_process_is_refused() {
    assert_refused("write_to_another_process_is_refused");
}

#[test]
fn trace_of_another_process_is_refused() {
    assert_refused("trace_of_another_process_is_refused");
}

#[test]
fn signal_to_another_process_is_refused() {
    assert_refused("signal_to_another_process_is_refused");
}

#[test]
fn descriptor_of_another_process_is_refused() {
    assert_refused("descriptor_of_another_process_is_refused");
}

#[test]
fn limit_of_another_process_is_refused() {
    assert_refused("limit_of_another_process_is_refused");
}

#[test]
fn exec_is_refused() {
    assert_refused("exec_is_refused");
}

#[test]
fn exec_of_a_descriptor_is_refused() {
    assert_refused("exec_of_a_descriptor_is_refused");
}

#[test]
fn new_process_is_refused() {
    assert_refused("new_process_is_refused");
}

#[test]
fn unshare_is_refused() {
    assert_refused("unshare_is_refused");
}

#[test]
fn namespace_of_the_keeper_is_refused() {
    assert_refused("namespace_of_the_keeper_is_refused");
}

#[test]
fn other_ids_are_refused() {
    assert_refused("other_ids_are_refused");
}

#[test]
fn mount_is_refused() {
    assert_refused("mount_is_refused");
}

#[test]
fn key_is_refused() {
    assert_refused("key_is_refused");
}

#[test]
fn bpf_is_refused() {
    assert_refused("bpf_is_refused");
}

#[test]
fn userfaultfd_is_refused() {
    assert_refused("userfaultfd_is_refused");
}

#[test]
fn io_uring_is_refused() {
    assert_refused("io_uring_is_refused");
}

#[test]
fn perf_is_refused() {
    assert_refused("perf_is_refused");
}

#[test]
fn queue_that_outlives_the_process_is_refused() {
    assert_refused("queue_that_outlives_the_process_is_refused");
}

#[test]
fn setting_of_the_machine_is_refused() {
    assert_refused("setting_of_the_machine_is_refused");
}

#[test]
fn new_executable_memory_is_refused() {
    assert_refused("new_executable_memory_is_refused");
}

#[test]
fn executable_mapping_of_a_file_is_refused() {
    assert_refused("executable_mapping_of_a_file_is_refused");
}

#[test]
fn change_of_our_own_code_is_refused() {
    assert_refused("change_of_our_own_code_is_refused");
}

#[test]
fn memory_file_is_refused() {
    assert_refused("memory_file_is_refused");
}

#[test]
fn shared_mapping_is_refused() {
    assert_refused("shared_mapping_is_refused");
}

#[test]
fn input_into_a_terminal_is_refused() {
    assert_refused("input_into_a_terminal_is_refused");
}

#[test]
fn steering_a_terminal_is_refused() {
    assert_refused("steering_a_terminal_is_refused");
}

#[test]
fn ioctl_is_refused() {
    assert_refused("ioctl_is_refused");
}

#[test]
fn owner_of_a_descriptor_is_refused() {
    assert_refused("owner_of_a_descriptor_is_refused");
}

#[test]
fn lease_and_lock_of_a_file_are_refused() {
    assert_refused("lease_and_lock_of_a_file_are_refused");
}

#[test]
fn parent_death_signal_is_refused() {
    assert_refused("parent_death_signal_is_refused");
}

#[test]
fn prctl_is_refused() {
    assert_refused("prctl_is_refused");
}

#[test]
fn socket_of_any_family_is_refused() {
    assert_refused("socket_of_any_family_is_refused");
}

#[test]
fn pair_of_sockets_is_refused() {
    assert_refused("pair_of_sockets_is_refused");
}

#[test]
fn use_of_a_handed_socket_is_refused() {
    assert_refused("use_of_a_handed_socket_is_refused");
}

#[test]
fn descriptor_to_the_keeper_is_refused() {
    assert_refused("descriptor_to_the_keeper_is_refused");
}

#[test]
fn descriptor_from_the_keeper_is_refused() {
    assert_refused("descriptor_from_the_keeper_is_refused");
}

#[test]
fn call_of_the_other_architecture_is_refused() {
    assert_refused("call_of_the_other_architecture_is_refused");
}

#[test]
fn call_of_x32_is_refused() {
    assert_refused("call_of_x32_is_refused");
}

#[test]
fn random_calls_reach_nothing() {
    assert_refused_when_locked("random_calls_reach_nothing");
    assert_all_with_a_network("random_calls_reach_nothing", &End::Refused);
}

#[test]
fn memory_above_the_limit_is_refused() {
    assert_refused("memory_above_the_limit_is_refused");
}

#[test]
fn threads_above_the_limit_are_refused() {
    assert_refused("threads_above_the_limit_are_refused");
}

#[test]
fn granted_address_is_reached() {
    assert_all_with_a_network("granted_address_is_reached", &End::Succeeded);
}

#[test]
fn connect_to_what_is_not_granted_is_refused() {
    assert_refused_with_a_network("connect_to_what_is_not_granted_is_refused");
}

#[test]
fn datagram_to_what_is_not_granted_is_refused() {
    assert_refused_with_a_network("datagram_to_what_is_not_granted_is_refused");
}

#[test]
fn address_that_changes_during_the_call_leads_nowhere() {
    assert_refused_with_a_network("address_that_changes_during_the_call_leads_nowhere");
}

#[test]
fn descriptor_that_changes_during_the_call_leads_nowhere() {
    assert_refused_with_a_network("descriptor_that_changes_during_the_call_leads_nowhere");
}

#[test]
fn port_that_was_not_published_is_nobody_elses() {
    assert_refused_with_a_network("port_that_was_not_published_is_nobody_elses");
}

#[test]
fn listener_that_was_not_published_is_nobody_elses() {
    assert_refused_with_a_network("listener_that_was_not_published_is_nobody_elses");
}

#[test]
fn fast_open_is_refused() {
    assert_refused_with_a_network("fast_open_is_refused");
}

#[test]
fn option_with_a_right_in_it_is_refused() {
    assert_refused_with_a_network("option_with_a_right_in_it_is_refused");
}

#[test]
fn socket_of_another_protocol_is_refused() {
    assert_refused_with_a_network("socket_of_another_protocol_is_refused");
}

#[test]
fn answer_to_ones_own_call_is_refused() {
    assert_all_with_a_network("answer_to_ones_own_call_is_refused", &End::Refused);
}
