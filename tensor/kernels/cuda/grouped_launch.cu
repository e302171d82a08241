#include "tensor/kernels/cuda/grouped_launch.h"

#include <algorithm>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"

namespace weft {
namespace {

constexpr unsigned kThreads = 256;
constexpr int64_t kAlignment = 16;  // bytes

// What the host knows of some groups, as a parameter of a kernel: the launch copies it, so that no
// pinned memory has to outlive the call. Parameters may have 4 KiB.
constexpr int kPortion = 240;
struct Portion {
  int32_t first = 0, count = 0;
  int64_t end = 0;  // of the last group
  int64_t begins[kPortion];
  void* matrices[kPortion];
};
static_assert(sizeof(Portion) + 2 * sizeof(void*) <= 4096);

__global__ void UploadKernel(Portion portion, int64_t* offsets, void** matrices) {
  const auto i = static_cast<int32_t>(threadIdx.x);
  if (i < portion.count) {
    offsets[portion.first + i] = portion.begins[i];
    matrices[portion.first + i] = portion.matrices[i];
  }
  if (i == portion.count) offsets[portion.first + i] = portion.end;
}
static_assert(kPortion < kThreads);

__global__ void PrepareKernel(GroupedRun run, GroupSize* sizes, GroupedOperands operands) {
  const int32_t group = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  if (group >= run.groups) return;
  const int64_t begin = run.offsets[group];
  const auto rows = static_cast<int32_t>(run.offsets[group + 1] - begin);
  const BFloat16* const left = run.left + begin * run.left_width;
  BFloat16* const right = run.right + begin * run.right_width;
  const auto left_width = static_cast<int32_t>(run.left_width);
  const auto right_width = static_cast<int32_t>(run.right_width);
  void* const matrix = run.matrices[group];
  operands.a[group] = left;
  operands.a_row[group] = run.left_width;
  operands.c_row[group] = run.right_width;
  if (run.product == GroupedProduct::kTransposeA) {
    // Without rows there is nothing to add, and no tile: m = 0.
    sizes[group] = {rows == 0 ? 0 : left_width, right_width, rows};
    operands.b[group] = right;
    operands.b_row[group] = run.right_width;
    operands.c[group] = matrix;
  } else {
    sizes[group] = {rows, right_width, left_width};
    operands.b[group] = static_cast<const BFloat16*>(matrix);
    operands.b_row[group] =
        run.product == GroupedProduct::kTransposeB ? run.left_width : run.right_width;
    operands.c[group] = right;
  }
}

bool Aligned(const ConstTensorView& matrix, DType type) {
  return matrix.dtype == type && reinterpret_cast<uintptr_t>(matrix.data) % kAlignment == 0 &&
         matrix.dim(1) * SizeOf(type) % kAlignment == 0;
}

bool TakesRows(const ConstTensorView& left, const ConstTensorView& right) {
  return GroupedKernelName() != nullptr && left.dim(0) > 0 && left.dim(1) > 0 && right.dim(1) > 0 &&
         Aligned(left, DType::kBF16) && Aligned(right, DType::kBF16);
}

}  // namespace

GroupedLaunch::GroupedLaunch(CudaQueue& queue, Memory& memory, int multiprocessors)
    : queue_(queue),
      multiprocessors_(multiprocessors),
      offsets_(memory),
      matrices_(memory),
      sizes_(memory),
      pointers_(memory),
      strides_(memory),
      workspace_(memory) {}

bool GroupedLaunch::Takes(const GroupedGemmArgs& args) {
  return TakesRows(args.a, args.c) &&
         std::all_of(args.b.begin(), args.b.end(),
                     [](const ConstTensorView& b) { return Aligned(b, DType::kBF16); });
}

bool GroupedLaunch::Takes(const GroupedWgradArgs& args) {
  return TakesRows(args.a, args.b) &&
         std::all_of(args.c.begin(), args.c.end(),
                     [](const TensorView& c) { return Aligned(c, DType::kF32); });
}

void GroupedLaunch::Gemm(const GroupedGemmArgs& args) {
  CheckGroupedGemm(args);
  GroupedRun run;
  run.product = args.transpose_b ? GroupedProduct::kTransposeB : GroupedProduct::kPlain;
  run.left = args.a.as<BFloat16>();
  run.left_width = args.a.dim(1);
  run.right = args.c.as<BFloat16>();
  run.right_width = args.c.dim(1);
  Upload(args.rows, args.b, run);
  Run(run);
}

void GroupedLaunch::Wgrad(const GroupedWgradArgs& args) {
  CheckGroupedWgrad(args);
  GroupedRun run;
  run.product = GroupedProduct::kTransposeA;
  run.left = args.a.as<BFloat16>();
  run.left_width = args.a.dim(1);
  run.right = const_cast<BFloat16*>(args.b.as<BFloat16>());
  run.right_width = args.b.dim(1);
  Upload(args.rows, args.c, run);
  Run(run);
}

template <typename View>
void GroupedLaunch::Upload(std::span<const int64_t> rows, std::span<const View> matrices,
                           GroupedRun& run) {
  const auto groups = static_cast<int64_t>(rows.size());
  offsets_.Reserve((groups + 1) * static_cast<int64_t>(sizeof(int64_t)));
  matrices_.Reserve(groups * static_cast<int64_t>(sizeof(void*)));
  int64_t begin = 0;
  for (int64_t first = 0; first < groups; first += kPortion) {
    Portion portion;
    portion.first = static_cast<int32_t>(first);
    portion.count = static_cast<int32_t>(std::min<int64_t>(groups - first, kPortion));
    for (int i = 0; i < portion.count; ++i) {
      const auto group = static_cast<size_t>(first + i);
      portion.begins[i] = begin;
      portion.matrices[i] = const_cast<void*>(static_cast<const void*>(matrices[group].data));
      begin += rows[group];
    }
    portion.end = begin;
    Launch(queue_, "GroupedUpload", 1, kThreads, UploadKernel, portion, offsets_.as<int64_t>(),
           matrices_.as<void*>());
  }
  run.groups = static_cast<int32_t>(groups);
  run.offsets = offsets_.as<int64_t>();
  run.matrices = matrices_.as<void*>();
}

void GroupedLaunch::Run(const GroupedRun& run) {
  const int64_t groups = run.groups;
  sizes_.Reserve(groups * static_cast<int64_t>(sizeof(GroupSize)));
  pointers_.Reserve(3 * groups * static_cast<int64_t>(sizeof(void*)));
  strides_.Reserve(3 * groups * static_cast<int64_t>(sizeof(int64_t)));
  workspace_.Reserve(GroupedWorkspaceBytes(run.product, multiprocessors_));
  GroupedOperands operands;
  operands.groups = run.groups;
  operands.sizes = sizes_.as<GroupSize>();
  operands.a = pointers_.as<const BFloat16*>();
  operands.b = operands.a + groups;
  operands.c = pointers_.as<void*>() + 2 * groups;
  operands.a_row = strides_.as<int64_t>();
  operands.b_row = operands.a_row + groups;
  operands.c_row = operands.b_row + groups;
  Launch(queue_, "GroupedPrepare", GroupsOf(groups, kThreads), kThreads, PrepareKernel, run,
         sizes_.as<GroupSize>(), operands);
  const cudaStream_t stream = queue_.stream();
  queue_.Issued(LaunchGrouped(run.product, operands, multiprocessors_, workspace_.data(), stream),
                "GroupedGemm");
}

}  // namespace weft
