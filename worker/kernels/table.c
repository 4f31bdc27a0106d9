/* table - the kernels of the level that this file is compiled for. */
#include "worker/kernels/kernels.h"
#include "worker/kernels/tile.h"

extern const Kernels kernel_table;

#define KERNEL_ENTRY(name) .name = name,
const Kernels kernel_table = { .lanes = LANES, KERNEL_LIST(KERNEL_ENTRY) };
