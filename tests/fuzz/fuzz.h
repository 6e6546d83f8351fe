/* fuzz.h - the one function each fuzz target defines; libFuzzer calls it with
 * what it makes up, replay.c with the files of a corpus. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
