#include "c_interface.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "cpu.h"
#include "encoder.h"

struct RerankEncoder {
  rerank::Encoder encoder;
};

namespace {

void say(const char* what, char* message, size_t message_bytes) {
  if (message_bytes == 0) return;
  const size_t length = std::min(std::strlen(what), message_bytes - 1);
  std::memcpy(message, what, length);
  message[length] = '\0';
}

// Of what c_interface.h promises beside the sizes of its structures.
constexpr int kInterface = 2;

}  // namespace

const char* rerank_interface(void) {
  static const std::string text = [] {
    std::string joined = std::to_string(kInterface);
    for (const std::size_t size : {sizeof(RerankShape), sizeof(RerankDense), sizeof(RerankNorm),
                                   sizeof(RerankLayer), sizeof(RerankWeights), sizeof(RerankHead)}) {
      joined += "," + std::to_string(size);
    }
    return joined;
  }();
  return text.c_str();
}

const char* rerank_instruction_sets(void) {
  static const std::string names = [] {
    std::string joined;
    for (const rerank::Kernels* kernels : rerank::usable_kernels()) {
      joined += joined.empty() ? "" : ",";
      joined += kernels->name;
    }
    return joined;
  }();
  return names.c_str();
}

RerankEncoder* rerank_encoder_new(const RerankShape* shape, const RerankWeights* weights,
                                  const RerankHead* head, const char* instruction_set,
                                  char* message, size_t message_bytes) {
  try {
    const rerank::Kernels& kernels = rerank::kernels_named(instruction_set);
    return new RerankEncoder{{*shape, *weights, *head, kernels}};
  } catch (const std::exception& error) {  // nothing may pass into C
    say(error.what(), message, message_bytes);
    return nullptr;
  }
}

void rerank_encoder_delete(RerankEncoder* encoder) { delete encoder; }

int32_t rerank_encoder_outputs(const RerankEncoder* encoder) { return encoder->encoder.outputs(); }

int32_t rerank_encoder_forward(const RerankEncoder* encoder, const int32_t* ids,
                               const int32_t* type_ids, const int64_t* offsets, int32_t rows,
                               float* outputs, char* message, size_t message_bytes) {
  return rerank_encoder_profile(encoder, ids, type_ids, offsets, rows, outputs, nullptr, message,
                                message_bytes);
}

const char* rerank_stages(void) { return rerank::kStageNames; }

int32_t rerank_encoder_profile(const RerankEncoder* encoder, const int32_t* ids,
                               const int32_t* type_ids, const int64_t* offsets, int32_t rows,
                               float* outputs, double* seconds, char* message,
                               size_t message_bytes) {
  try {
    encoder->encoder.forward({ids, type_ids, offsets, rows}, outputs, seconds);
    return 0;
  } catch (const std::exception& error) {
    say(error.what(), message, message_bytes);
    return -1;
  }
}
