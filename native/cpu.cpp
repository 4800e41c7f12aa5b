#include "cpu.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace rerank {
namespace {

struct Leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Leaf cpuid(unsigned leaf, unsigned subleaf = 0) {
  Leaf found;
  if (!__get_cpuid_count(leaf, subleaf, &found.a, &found.b, &found.c, &found.d)) return Leaf{};
  return found;
}

bool bit(unsigned word, int number) { return (word >> number & 1) != 0; }

// The register state that the system saves for us: without it an instruction set is there in
// name only.
std::uint64_t saved_state() {
  if (!bit(cpuid(1).c, 27)) return 0;  // OSXSAVE
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
}

bool saves(std::uint64_t state) { return (saved_state() & state) == state; }

constexpr std::uint64_t kYmm = 0x6;
constexpr std::uint64_t kZmm = 0xe6;
constexpr std::uint64_t kTiles = 0x60000;

bool has_avx2() {
  const Leaf one = cpuid(1), seven = cpuid(7);
  return saves(kYmm) && bit(one.c, 12) /* FMA */ && bit(seven.b, 5) /* AVX2 */;
}

bool has_avx512_vnni() {
  const Leaf seven = cpuid(7);
  return has_avx2() && saves(kZmm) && bit(seven.b, 16) /* F */ && bit(seven.b, 17) /* DQ */ &&
         bit(seven.b, 30) /* BW */ && bit(seven.b, 31) /* VL */ && bit(seven.c, 11) /* VNNI */;
}

// Linux hands tiles out on request; once a process.
bool allowed_tiles() {
  constexpr int kArchRequestPermission = 0x1023;
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kArchRequestPermission, kTileData) == 0;
}

bool has_amx() {
  const Leaf seven = cpuid(7);
  return has_avx512_vnni() && saves(kTiles) && bit(seven.d, 24) /* TILE */ &&
         bit(seven.d, 25) /* INT8 */ && allowed_tiles();
}

bool has_amx_bf16() {
  return has_amx() && bit(cpuid(7).d, 22) /* AMX-BF16 */ && bit(cpuid(7, 1).a, 5) /* AVX512 */;
}

std::vector<const Kernels*> find_usable() {
  std::vector<const Kernels*> found;
#ifdef RERANK_AMX
  if (has_amx()) found.push_back(&amx_kernels());
#endif
  if (has_avx512_vnni()) found.push_back(&avx512_kernels());
  if (has_avx2()) found.push_back(&avx2_kernels());
#ifdef RERANK_AMX
  // Behind all of int8, and below too: another precision has a name of its own.
  if (has_amx_bf16()) found.push_back(&amx_bf16_kernels());
#endif
  if (has_avx512_vnni()) found.push_back(&avx512_int16_kernels());
  if (has_avx2()) found.push_back(&avx2_int16_kernels());
  return found;
}

}  // namespace

const std::vector<const Kernels*>& usable_kernels() {
  static const std::vector<const Kernels*> usable = find_usable();
  return usable;
}

const Kernels& kernels_named(const std::string& name) {
  for (const Kernels* kernels : usable_kernels()) {
    if (name == kernels->name) return *kernels;
  }
  // Asked for in this order: the table itself is built with AVX-512 instructions.
  if (has_avx512_vnni()) {
    if (name == emulated_amx_kernels().name) return emulated_amx_kernels();
    if (name == emulated_amx_bf16_kernels().name) return emulated_amx_bf16_kernels();
  }
  throw std::invalid_argument("instruction set " + name + " is not to be had on this machine");
}

}  // namespace rerank
