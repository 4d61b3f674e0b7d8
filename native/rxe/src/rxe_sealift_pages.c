// SPDX-License-Identifier: GPL-2.0
/*
 * Does a memory region have the pages that its owner has? The region keeps the
 * pages that it was registered with, whatever the owner does to its addresses:
 * unmap them, give them up (MADV_DONTNEED), map something else there. A restore
 * registers what the owner has there now, so both must be the same.
 *
 * What the region has pinned is not swapped out, migrated or merged, and a fork
 * or a write leaves it with the owner. So a page table entry that is another
 * one, or none, says that the owner has given the page up. Only pages of files
 * may be taken out of the page tables meanwhile: they stay in the page cache.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <rdma/ib_umem.h>

#include "rxe_sealift.h"

/* Pages of one call: an array of them is a page. */
#define RXE_PAGES_AT_ONCE	(PAGE_SIZE / sizeof(struct page *))

/* Would a fault at @addr bring @page back? */
static bool rxe_page_is_cached(struct vm_area_struct *vma,
			       unsigned long addr, struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!(vma->vm_flags & VM_SHARED) || !vma->vm_file ||
	    folio_test_anon(folio))
		return false;

	return READ_ONCE(folio->mapping) == vma->vm_file->f_mapping &&
	       folio->index + folio_page_idx(folio, page) ==
	       linear_page_index(vma, addr);
}

/*
 * How many of the first @count pages at @addr, where something is mapped, does
 * the owner have? Nothing is faulted in, no COW is broken.
 */
static long rxe_pages_in_tables(const struct rxe_mr *mr, unsigned long addr,
				u32 first, unsigned long count,
				struct page **buf)
{
	long got, i, same = 0;

	/* whether it is protected is not the question */
	got = get_user_pages_remote(mr->umem->owning_mm, addr, count,
				    FOLL_FORCE | FOLL_NOFAULT, buf, NULL);
	if (got == -EINTR)
		return got;

	for (i = 0; i < got; i++) {
		if (same == i && buf[i] == mr->page_info[first + i].page)
			same++;
		put_page(buf[i]);
	}

	return same;
}

int rxe_mr_find_remapped(const struct rxe_mr *mr, struct page **buf, u32 *page)
{
	struct mm_struct *mm = mr->umem->owning_mm;
	struct vm_area_struct *vma;
	unsigned long addr, count;
	long same;

	mmap_assert_locked(mm);

	for (*page = 0; *page < mr->nbuf; *page += same) {
		addr = (mr->umem->address & PAGE_MASK) +
		       ((unsigned long)*page << PAGE_SHIFT);
		/* below a stack, get_user_pages_remote() would warn */
		vma = vma_lookup(mm, addr);
		if (!vma)
			return 1;

		count = min(RXE_PAGES_AT_ONCE, vma_pages(vma));
		count = min(count, (vma->vm_end - addr) >> PAGE_SHIFT);
		count = min_t(unsigned long, count, mr->nbuf - *page);
		same = rxe_pages_in_tables(mr, addr, *page, count, buf);
		if (same < 0)
			return same;
		if (same)
			continue;
		if (!rxe_page_is_cached(vma, addr, mr->page_info[*page].page))
			return 1;
		same = 1;
	}

	return 0;
}

/*
 * The region is only taken when its owner's memory map has been waited for:
 * whoever deregisters it waits for this.
 */
static int rxe_list_remapped_locked(struct rxe_dev *rxe,
				    const struct mm_struct *mm,
				    struct sealift_rxe_device_object *obj,
				    struct page **buf)
{
	struct rxe_mr *mr;
	int ret = 0;
	u32 page;

	mr = rxe_pool_get_index(&rxe->mr_pool, obj->number >> 8);
	if (!mr)
		return 0;

	/* else another region has its number by now */
	if (mr->rkey == obj->number && mr->umem &&
	    mr->umem->owning_mm == mm)
		ret = rxe_mr_find_remapped(mr, buf, &page);
	rxe_put(mr);

	if (ret == 1) {
		obj->flags |= SEALIFT_RXE_OBJECT_REMAPPED;
		obj->remapped_page = page;
	}

	return min(ret, 0);
}

int rxe_list_remapped(struct rxe_dev *rxe, struct mm_struct *mm,
		      struct sealift_rxe_device_object *obj, struct page **buf)
{
	int err;

	if (!mmget_not_zero(mm))
		return 0;

	err = mmap_read_lock_killable(mm);
	if (!err) {
		err = rxe_list_remapped_locked(rxe, mm, obj, buf);
		mmap_read_unlock(mm);
	}
	mmput_async(mm);

	return err;
}
