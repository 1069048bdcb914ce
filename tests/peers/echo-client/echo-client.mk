# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# echo-client: asks a guest for ICMP echoes over QEMU's -netdev dgram, and measures.

$(eval $(call host_program,build/echo-client,$(BENCH_FLAGS),,tests/peers/echo-client/echo_client.c,echo-client,))

peers: build/echo-client/echo-client
