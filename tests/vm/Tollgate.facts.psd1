# Written by check.py --update from the driver's source. Do not change it by hand.
@{
    ServiceName = 'tollgate'
    InfName = 'tollgate.inf'
    ImageName = 'tollgate.sys'
    PackageFiles = @('tollgate.inf', 'tollgate.sys', 'tollgate.cat')
    SignedFiles = @('tollgate.sys', 'tollgate.cat')
    DevicePath = '\\.\Tollgate'
    IoctlCounters = 0x00126000
    Version = 1
    Counters = @(
        @{ Name = 'classified_inbound_transport'; Group = 'classified' }
        @{ Name = 'classified_outbound_transport'; Group = 'classified' }
        @{ Name = 'classified_recv_accept'; Group = 'classified' }
        @{ Name = 'classified_connect'; Group = 'classified' }
        @{ Name = 'left_self_injected'; Group = 'left' }
        @{ Name = 'left_ale_classify_required'; Group = 'left' }
        @{ Name = 'left_tunnel_not_detunneled'; Group = 'left' }
        @{ Name = 'inline_no_write_right'; Group = 'inline' }
        @{ Name = 'inline_no_packet'; Group = 'inline' }
        @{ Name = 'inline_security_unknown'; Group = 'inline' }
        @{ Name = 'inline_loopback'; Group = 'inline' }
        @{ Name = 'inline_fragment'; Group = 'inline' }
        @{ Name = 'inline_ip_header_size'; Group = 'inline' }
        @{ Name = 'inline_transport_header_size'; Group = 'inline' }
        @{ Name = 'inline_interface'; Group = 'inline' }
        @{ Name = 'inline_several_net_buffers'; Group = 'inline' }
        @{ Name = 'inline_headers_out_of_reach'; Group = 'inline' }
        @{ Name = 'inline_endpoint'; Group = 'inline' }
        @{ Name = 'inline_address'; Group = 'inline' }
        @{ Name = 'inline_raw_header'; Group = 'inline' }
        @{ Name = 'inline_completion_handle'; Group = 'inline' }
        @{ Name = 'inline_reauthorize'; Group = 'inline' }
        @{ Name = 'inline_direction'; Group = 'inline' }
        @{ Name = 'inline_queue_count'; Group = 'inline' }
        @{ Name = 'inline_queue_bytes'; Group = 'inline' }
        @{ Name = 'inline_closing'; Group = 'inline' }
        @{ Name = 'inline_no_memory'; Group = 'inline' }
        @{ Name = 'inline_permitted'; Group = 'inline' }
        @{ Name = 'inline_blocked'; Group = 'inline' }
        @{ Name = 'answered_permitted'; Group = 'answered' }
        @{ Name = 'answered_blocked'; Group = 'answered' }
        @{ Name = 'held_inbound_transport'; Group = 'held' }
        @{ Name = 'held_outbound_transport'; Group = 'held' }
        @{ Name = 'held_recv_accept'; Group = 'held' }
        @{ Name = 'held_recv_accept_reauthorize_inbound'; Group = 'held' }
        @{ Name = 'held_recv_accept_reauthorize_outbound'; Group = 'held' }
        @{ Name = 'held_connect'; Group = 'held' }
        @{ Name = 'held_connect_datagram'; Group = 'held' }
        @{ Name = 'refused_cannot_pend'; Group = 'refused' }
        @{ Name = 'refused_not_ready'; Group = 'refused' }
        @{ Name = 'refused_other'; Group = 'refused' }
        @{ Name = 'reinjected_receive'; Group = 'reinjected' }
        @{ Name = 'reinjected_send'; Group = 'reinjected' }
        @{ Name = 'reinjected_nothing'; Group = 'reinjected' }
        @{ Name = 'blocked_inbound'; Group = 'blocked' }
        @{ Name = 'blocked_outbound'; Group = 'blocked' }
        @{ Name = 'blocked_recv_accept'; Group = 'blocked' }
        @{ Name = 'blocked_connect'; Group = 'blocked' }
        @{ Name = 'dropped_age'; Group = 'dropped' }
        @{ Name = 'dropped_offset'; Group = 'dropped' }
        @{ Name = 'dropped_retreat'; Group = 'dropped' }
        @{ Name = 'dropped_clone'; Group = 'dropped' }
        @{ Name = 'dropped_header'; Group = 'dropped' }
        @{ Name = 'dropped_rebuild'; Group = 'dropped' }
        @{ Name = 'dropped_raw_header'; Group = 'dropped' }
        @{ Name = 'dropped_memory'; Group = 'dropped' }
        @{ Name = 'dropped_inject_receive'; Group = 'dropped' }
        @{ Name = 'dropped_inject_send'; Group = 'dropped' }
        @{ Name = 'rebuilt_ipsec'; Group = 'rebuilt' }
        @{ Name = 'rebuilt_reassembled'; Group = 'rebuilt' }
        @{ Name = 'rebuilt_checksum'; Group = 'rebuilt' }
        @{ Name = 'completed_success'; Group = 'completed' }
        @{ Name = 'completed_not_accepted'; Group = 'completed' }
        @{ Name = 'completed_failure'; Group = 'completed' }
        @{ Name = 'stack_retreated'; Group = 'event' }
        @{ Name = 'reauthorize_missing'; Group = 'event' }
        @{ Name = 'engine_added'; Group = 'event' }
        @{ Name = 'engine_failed'; Group = 'event' }
        @{ Name = 'inline_unopened'; Group = 'inline' }
    )
    FilterObjects = @(
        @{ What = 'provider'; Key = '154be31f-42bf-4a2c-b93e-80c15864d72e' }
        @{ What = 'sublayer'; Key = '7ce4bad4-ab9a-4a45-8000-ad7eae0452c7' }
        @{ What = 'callout (inbound connections, V4)'; Key = '588fb4a2-faba-426d-8894-626e4f65a9c7' }
        @{ What = 'filter (inbound connections, V4)'; Key = '96abeccd-505b-4269-8a02-7283c1a5a2b0' }
        @{ What = 'callout (inbound connections, V6)'; Key = 'c27e2bc2-75d7-4030-b4c9-148fc3619390' }
        @{ What = 'filter (inbound connections, V6)'; Key = '1db4892b-9128-4a04-8dac-c72706ff0a2e' }
        @{ What = 'callout (outbound connections, V4)'; Key = '2eb90607-9fdd-47db-92ed-9da56cde4f72' }
        @{ What = 'filter (outbound connections, V4)'; Key = '7f44a9a1-c67d-43ac-a392-9ff7e5405b0d' }
        @{ What = 'callout (outbound connections, V6)'; Key = 'a8d7edc8-3be0-4778-bd82-fb3b79db2401' }
        @{ What = 'filter (outbound connections, V6)'; Key = '5e7f9218-69aa-4836-8872-298d66885ffa' }
        @{ What = 'callout (inbound packets, V4)'; Key = '3df2ffe9-cc2d-4f64-85d8-47d9469daf5e' }
        @{ What = 'filter (inbound packets, V4)'; Key = '89e7dfb2-4273-4539-95fc-4a3155355485' }
        @{ What = 'callout (inbound packets, V6)'; Key = '932a343d-d597-41a9-b5a2-d7575bf1923f' }
        @{ What = 'filter (inbound packets, V6)'; Key = '33d56004-7be7-4a94-a0d4-06cc73323a75' }
        @{ What = 'callout (outbound packets, V4)'; Key = '9e2e61ec-af80-4276-b603-7f938628bcc2' }
        @{ What = 'filter (outbound packets, V4)'; Key = 'da8272e9-010a-41cf-8d2a-86271c2e5cf0' }
        @{ What = 'callout (outbound packets, V6)'; Key = 'a065889c-f0cc-480b-889c-b5c132bbecef' }
        @{ What = 'filter (outbound packets, V6)'; Key = 'bbe453ba-b803-4ba2-aa84-f5405b8e6b45' }
    )
}
