// Owned, zeroed memory that begins on a cache line.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace rerank {

template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;

  // Throws std::bad_alloc.
  explicit AlignedBuffer(std::size_t count) {
    if (count > (SIZE_MAX - kAlignment) / sizeof(T)) throw std::bad_alloc();
    const std::size_t lines = (count * sizeof(T) + kAlignment - 1) / kAlignment;
    const std::size_t bytes = (lines ? lines : 1) * kAlignment;
    data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
    if (!data_) throw std::bad_alloc();
    std::memset(data_.get(), 0, bytes);
  }

  T* data() const { return data_.get(); }

 private:
  static constexpr std::size_t kAlignment = 64;

  struct Free {
    void operator()(T* data) const { std::free(data); }
  };

  std::unique_ptr<T[], Free> data_;
};

}  // namespace rerank
